/** Most letters of a cause, and of the message that is looked through for it, which may hold what a server sent. */
const [MOST, READ] = [300, 10_000];

/**
 * What went wrong by a message of LanceDB's, which tells causes one within another, each with its place in the library's code,
 * or as the structures that hold them: what an object store said, or the system, else the last cause in words.
 */
export function causeOf(message: string): string {
  const [first] = message.slice(0, READ).split("\n");
  const told =
    /<Message>([^<]+)</.exec(first)?.[1] ??
    lastOf(first, /\b(?:message|error): "([^"]+)"/g) ??
    lastOf(first, /\bbody: Some\("([^"]+)"\)/g) ??
    lastOf(first, /\bsource: "([^":]+)/g);
  if (told) return told.slice(0, MOST);
  const cause = first.split(/\s*\bCaused by:\s*/).pop()!;
  return cause.replace(/,? ?\/\S+\.rs:\d+:\d+/g, "").slice(0, MOST);
}

function lastOf(text: string, pattern: RegExp): string | undefined {
  return [...text.matchAll(pattern)].at(-1)?.[1];
}
