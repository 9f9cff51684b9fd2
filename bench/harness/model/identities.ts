/** Who the subjects of identity providers are, until they are forgotten, and which keys are revoked, in plain words. */
import type { Row } from "./commands.ts";
import { isOneOf, type Model, type Of, type Subject } from "./state.ts";

const CALLS = [
  "resolve_subjects",
  "find_subjects",
  "forget_subject",
  "record_key",
  "revoke_key",
  "list_keys",
  "revoked_keys",
  "forget_subjects",
  "subjects_age",
] as const;
export type OfIdentities = Of<(typeof CALLS)[number]>;
export const isOfIdentities = isOneOf(CALLS);

/** The answer to such a command. The number of a new user is taken from the answer as it was seen, and must be free. */
export function ofIdentities(
  model: Model,
  command: OfIdentities,
  seen: Row[],
  forget: (user: number) => Row,
): Row[] {
  switch (command.call) {
    case "resolve_subjects":
      return resolve(model, command, seen);
    case "find_subjects":
      return model.subjects
        .filter((each) => each.subject === command.subject && model.names[each.user_id])
        .sort((a, b) => (a.issuer < b.issuer ? -1 : 1))
        .map(({ subject, issuer, user_id }) => ({ subject, issuer, user_id }));
    case "forget_subject":
      return [forget(find(model, command)?.user_id ?? 0)];
    case "record_key": {
      const isThere = model.keys.some(({ id }) => id === command.key);
      if (!isThere) model.keys.push({ id: command.key, name: command.name, revoked: false });
      return [{ outcome: isThere ? "already_recorded" : "recorded" }];
    }
    case "revoke_key": {
      const key = model.keys.find(({ id }) => id === command.key);
      if (key?.revoked) return [{ outcome: "already_revoked", name: key.name }];
      if (key) key.revoked = true;
      else model.keys.push({ id: command.key, name: null, revoked: true });
      return [{ outcome: "revoked", name: key?.name ?? null }];
    }
    case "list_keys":
      return model.keys.toReversed().map((key) => ({ ...key }));
    case "revoked_keys":
      return model.keys
        .filter(({ revoked }) => revoked)
        .map(({ id }) => ({ key_id: id }))
        .sort((a, b) => (a.key_id < b.key_id ? -1 : 1));
    case "subjects_age":
      for (const each of model.subjects) each.isOver = model.names[each.user_id] === null;
      return [];
    case "forget_subjects": {
      const left = model.subjects.filter(({ isOver }) => !isOver);
      const count = model.subjects.length - left.length;
      model.subjects = left;
      return [{ count }];
    }
  }
}

const find = ({ subjects }: Model, of: { issuer: string; subject: string }) =>
  subjects.find(({ issuer, subject }) => issuer === of.issuer && subject === of.subject);

function resolve(model: Model, { issuer, subjects, creating }: Of<"resolve_subjects">, seen: Row[]): Row[] {
  const created = new Set<Subject>();
  return subjects.map((subject, i) => {
    let own = find(model, { issuer, subject });
    if (own && model.names[own.user_id] === null) return { outcome: "forgotten", user_id: own.user_id };
    if (!own && creating) {
      const user_id = seen[i]?.["user_id"] as number;
      if (!(user_id >= 2 ** 52) || user_id in model.names)
        return { outcome: "created", user_id: "a free one" };
      own = { subject, issuer, user_id };
      model.subjects.push(own);
      model.names[user_id] = `User ${user_id}`;
      created.add(own);
    }
    const outcome = own === undefined ? "unknown" : created.has(own) ? "created" : "known";
    return { outcome, user_id: own?.user_id ?? null };
  });
}
