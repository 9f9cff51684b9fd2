/** The shapes of answers in lines: what each line has, and how the last one ends. */
import { z } from "zod";
import { issuedAt, issuedOn, position, usedDate } from "./answers.ts";
import { userId } from "./values.ts";

/** Of a stream, which may have any number of lines. */
const lineCount = (description: string) =>
  z
    .int()
    .min(0)
    .meta({ description, examples: [1000] });

/** How a stream of lines ends: done, or the outcome of what went wrong. */
const ending = {
  outcome: z
    .string()
    .meta({ description: "In the last line: done, or what went wrong.", examples: ["done"] }),
  detail: z
    .string()
    .meta({ description: "For people: what went wrong.", examples: ["The server is shutting down."] }),
};
const next = (what: string) =>
  z.int().meta({ description: `If the stream ended early: ${what}.`, examples: [1001] });
const allLines = lineCount("In the last line: the number of lines.");

export const importedLine = z.strictObject({
  line: z
    .int()
    .optional()
    .meta({ description: "The number of the line, from 1 on.", examples: [1] }),
  outcome: z.string().meta({
    description:
      "created, updated, unchanged, forgotten or invalid; in the last line done, or what went wrong.",
    examples: ["created"],
  }),
  user_id: userId.optional(),
  detail: ending.detail.optional(),
  lines: allLines.optional(),
  created: lineCount("In the last line.").optional(),
  updated: lineCount("In the last line.").optional(),
  unchanged: lineCount("In the last line.").optional(),
  forgotten: lineCount("In the last line.").optional(),
  invalid: lineCount("In the last line.").optional(),
  next_line: next("all lines before it were imported").optional(),
});
export const listedUser = z.strictObject({
  user_id: userId.optional(),
  display_name: z
    .string()
    .optional()
    .meta({ examples: ["Ann"] }),
  outcome: ending.outcome.optional(),
  detail: ending.detail.optional(),
  lines: allLines.optional(),
  next_after: next("go on with after=").optional(),
});
export const listedGrant = z.strictObject({
  position: position.optional(),
  user_id: userId.optional(),
  issued_on: issuedOn.optional(),
  issued_at: issuedAt.optional(),
  used_date: usedDate.nullable().optional(),
  use_reference: z
    .string()
    .nullable()
    .optional()
    .meta({ examples: ["order-1"] }),
  outcome: ending.outcome.optional(),
  detail: ending.detail.optional(),
  lines: allLines.optional(),
  next_after: next("go on with after=").optional(),
});
