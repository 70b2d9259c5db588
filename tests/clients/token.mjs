import { readFileSync } from "node:fs";

/** The compiled contracts/Token.sol. */
export const token = JSON.parse(readFileSync(new URL("contracts/token.json", import.meta.url)));
