/**
 * Capabilities: `category:name` strings that a swarm declares by itself, and privileges, dotted names that only an
 * operator grants. How well a swarm matches what a task requires is decided here and nowhere else.
 */

/** Whether a name is a privilege, such as `system.process.execute`: dotted, and without a category. */
export function isPrivilege(name: string): boolean {
  return name.includes('.') && !name.includes(':');
}

/** What is required and not there, in the order of `requires`. */
export function missingCapabilities(capabilities: readonly string[], requires: readonly string[]): string[] {
  return requires.filter((name) => !capabilities.includes(name));
}

/**
 * The part of what is required that is there: |capabilities and requires| / |requires|, from 0 to 1. Nothing required
 * is a full match. `requires` has no duplicates.
 */
export function capabilityMatch(capabilities: readonly string[], requires: readonly string[]): number {
  if (requires.length === 0) return 1;
  const missing = missingCapabilities(capabilities, requires).length;
  return (requires.length - missing) / requires.length;
}
