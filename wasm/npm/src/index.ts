/** A replica of a Polygon zkEVM or CDK chain that re-executes every block where it runs. */
export type * from './types.js';
