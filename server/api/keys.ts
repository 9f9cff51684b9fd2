/** The part of the contract that is about keys: tokens of services and administrators, which may be revoked. */
import { z } from "zod";
import { at } from "./answers.ts";
import { ADMIN } from "./changes.ts";
import { reason, text } from "./values.ts";

const keyId = text(1, 500).meta({
  description: 'jti of the token; of an identity provider\'s token "<jti> of <issuer>".',
  examples: ["5f0c6a1e-9d0b-4a55-8c44-6a1f6a0f7f53"],
});

export const keying = {
  listKeys: {
    route: "GET /keys",
    tag: "Operating",
    summary: "The keys of services and administrators, the newest first",
    description:
      "Those that ./sd token signed with a name, and those that were revoked. No answer has a token.",
    roles: ADMIN,
    answer: z.strictObject({
      keys: z.array(
        z.strictObject({
          key_id: keyId,
          name: z
            .string()
            .nullable()
            .meta({ description: "Whose it is; null: it was signed elsewhere.", examples: ["POS north"] }),
          scope: z
            .string()
            .nullable()
            .meta({
              description: "What it is limited to; null: to nothing but its role.",
              examples: ["use"],
            }),
          created_at: at("When it was recorded."),
          expires_at: at("Until when it is good, unless it is revoked.").nullable(),
          revoked_at: at("Since when it is revoked.").nullable(),
        }),
      ),
    }),
  },
  revokeKey: {
    route: "POST /keys/revoke",
    tag: "Operating",
    summary: "End a key before its time, for ever",
    description:
      "Within a minute no server takes it any more. A key that was signed elsewhere can be revoked by its id too: then name is null, " +
      "as it is for an id that was mistyped.",
    roles: ADMIN,
    body: z.strictObject({ key_id: keyId, reason: reason.optional() }),
    command: "revoke_key",
    answer: z.strictObject({
      key_id: keyId,
      name: z
        .string()
        .nullable()
        .meta({ examples: ["POS north"] }),
    }),
  },
} as const;
