/** Calls of the functions about subjects of identity providers. */
import type { AnswerOf } from "../api/contract-types.ts";
import { instant, list } from "./columns.ts";
import type { Call, Pool } from "./pool.ts";
import { arrayOf, only } from "./rows.ts";

type Found = AnswerOf<"findSubjects">["subjects"][number];

const FOUND = list("subject, issuer, user_id", instant("first_seen_at"));

export function subjected(lookup: Pool, operate: Pool, report: Call) {
  return {
    /**
     * One answer to each subject, in their order; user_id is null for nobody. On its way a name that is not there is an empty one, since a null
     * in an array is a text in a session with array_nulls = off.
     */
    resolveSubjects: (
      issuer: string,
      subjects: readonly { subject: string; displayName: string | null }[],
      creating: boolean,
    ) =>
      lookup<{ outcome: "known" | "forgotten" | "unknown" | "created"; user_id: number | null }>(
        (sql) => sql`
          select outcome, user_id
          from public.resolve_subjects(
            issuer => ${issuer}::text,
            subjects => ${arrayOf(subjects.map(({ subject }) => subject))}::text[],
            display_names => array(
              select nullif(n, '')
              from unnest(${arrayOf(subjects.map(({ displayName }) => displayName ?? ""))}::text[])
                with ordinality d (n, place)
              order by place),
            creating => ${creating}::boolean)
        `,
      ),

    findSubjects: (asked: {
      user_id?: number | undefined;
      subject?: string | undefined;
      issuer?: string | undefined;
    }) =>
      report<Found>(
        (sql) => sql`
          select ${sql.unsafe(FOUND)}
          from public.find_subjects(
            user_id => ${asked.user_id ?? null}::bigint, subject => ${asked.subject ?? null}::text,
            issuer => ${asked.issuer ?? null}::text)
        `,
      ),

    forgetSubjects: () =>
      operate<{ forgotten: number }>((sql) => sql`select public.forget_subjects() as forgotten`).then(
        (rows) => only(rows).forgotten,
      ),
  };
}
