/** How actors are addressed, and which ids are valid. Ids are checked here before they become part of a subject, path or key. */
export interface ActorRef {
  readonly kind: string;
  readonly id: string;
}

const swarmId = /^[a-z0-9][a-z0-9-]{0,62}$/;
const otherId = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/;

/** The longest task, trace or other id, in characters. */
export const maxIdLength = 128;

/** A valid swarm id: lower-case letters, digits and hyphens, 1 to 63 characters, not starting with a hyphen. */
export function isSwarmId(text: string): boolean {
  return swarmId.test(text);
}

/** A valid task, trace or other id: segments of `[A-Za-z0-9_-]` joined by single dots, at most 128 characters. */
export function isId(text: string): boolean {
  return text.length <= maxIdLength && otherId.test(text);
}

/** The id that operators use where swarms use theirs. */
export const operatorId = 'operator';

/** `<kind>:<id>`, the form that people and the command line use. */
export function formatRef(ref: ActorRef): string {
  return `${ref.kind}:${ref.id}`;
}

/** Reads `<kind>:<id>`; undefined when it is not one. */
export function parseRef(text: string): ActorRef | undefined {
  const colon = text.indexOf(':');
  if (colon < 1) return undefined;
  const ref = { kind: text.slice(0, colon), id: text.slice(colon + 1) };
  return /^[a-z]+$/.test(ref.kind) && isId(ref.id) ? ref : undefined;
}
