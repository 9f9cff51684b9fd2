/** The part of the contract that is about subjects: users as identity providers name them. */
import { z } from "zod";
import { at } from "./answers.ts";
import { ADMIN } from "./changes.ts";
import { idInPath, text, userId } from "./values.ts";

const subject = text(1, 200).meta({ examples: ["auth0|656f1a2b3c4d5e6f7a8b9c0d"] });
const issuer = text(1, 200).meta({ examples: ["https://shop.eu.auth0.com/"] });

const whichSubjects = z
  .strictObject({
    subject: subject.optional().meta({ description: "Needed without user_id." }),
    user_id: idInPath(42).optional().meta({ description: "Needed without subject." }),
    issuer: issuer.optional().meta({ description: "Those of this provider alone." }),
  })
  .refine(({ subject, user_id }) => subject !== undefined || user_id !== undefined, {
    path: ["subject"],
    error: "must be given, or user_id",
  });

export const subjecting = {
  me: {
    route: "GET /me",
    tag: "Users",
    summary: "Who I am, by my token",
    description:
      "The number of a user is what other operations take, also where an identity provider's token names the user by a subject.",
    roles: ["user", "till", "service", "admin"],
    scope: "any",
    answer: z.strictObject({
      role: z.enum(["user", "till", "service", "admin"]),
      user_id: userId.nullable().meta({ description: "Null: the token is no user's." }),
    }),
  },
  findSubjects: {
    route: "GET /subjects",
    tag: "Users",
    summary: "Which subject of an identity provider is which user",
    description: "By subject, or by user. None: nobody. Each provider has at most one subject of a user.",
    roles: ADMIN,
    query: whichSubjects,
    answer: z.strictObject({
      subjects: z.array(
        z.strictObject({
          subject: subject.meta({
            description: "sub of the provider's tokens, or the claim that JWT_ISSUERS names.",
          }),
          issuer: issuer.meta({ description: "iss of the provider's tokens." }),
          user_id: userId,
          first_seen_at: at("When the subject became this user."),
        }),
      ),
    }),
  },
} as const;
