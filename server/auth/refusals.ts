/** Why a token is not valid, in one word: for the log and /metrics, never for who sent it. */
import type { TokenError } from "../api/caller.ts";

/** Is told why a token is refused. */
export type Told = (reason: TokenError) => void;

export function refuse(told: Told | undefined, reason: TokenError): null {
  told?.(reason);
  return null;
}
