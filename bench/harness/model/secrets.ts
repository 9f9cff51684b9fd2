/** The secrets of claim codes, and which code a secret made, in plain words. */
import type { Row } from "./commands.ts";
import { isOneOf, type Model, type Of } from "./state.ts";

const CALLS = ["claim_secrets", "rotate_claim_secret", "retire_claim_secret"] as const;
export type OfSecrets = Of<(typeof CALLS)[number]>;
export const isOfSecrets = isOneOf(CALLS);

export function ofSecrets({ secrets }: Model, command: OfSecrets): Row[] {
  switch (command.call) {
    case "claim_secrets":
      return secrets.map(({ isRetired }, i) => ({ secret_id: i + 1, retired: isRetired })).reverse();
    case "rotate_claim_secret": {
      const older = secrets.findIndex(({ isRetired }, i) => !isRetired && i < secrets.length - 1);
      if (older >= 0) return [{ outcome: "older_in_use", secret_id: older + 1 }];
      secrets.push({ isRetired: false });
      return [{ outcome: "rotated", secret_id: secrets.length }];
    }
    case "retire_claim_secret": {
      const secret = secrets[command.secret - 1];
      if (!secret) return [{ outcome: "secret_not_found" }];
      if (secret.isRetired) return [{ outcome: "already_retired" }];
      if (command.secret === secrets.length) return [{ outcome: "newest" }];
      secret.isRetired = true;
      return [{ outcome: "retired" }];
    }
  }
}

/** Whether codes of this secret, or of the newest, are found. */
export const isInUse = ({ secrets }: Model, secret = secrets.length): boolean =>
  secrets[secret - 1]?.isRetired === false;
