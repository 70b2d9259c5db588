// The engine's own thread.

import { serve } from './serve.js';

serve(self as unknown as DedicatedWorkerGlobalScope);
