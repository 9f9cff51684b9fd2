/**
 * Options of Node for a process that runs our TypeScript: none where Node does so itself, as it does from 22.18 and 24 on; before,
 * tsx does. `sd` decides by the version, since asking Node costs a start.
 */
export const TYPESCRIPT: readonly string[] =
  "typescript" in process.features && process.features.typescript
    ? []
    : ["--import", import.meta.resolve("tsx")];
