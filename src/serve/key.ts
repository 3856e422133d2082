import { createHash, timingSafeEqual } from "node:crypto";

const digest = (text: string) => createHash("sha256").update(text).digest();

/**
 * Whether an Authorization header carries the key, in a time that does not tell how much of it is right: digests, which
 * are equally long, are compared.
 */
export function keyChecker(key: string): (authorization: string | undefined) => boolean {
  const wanted = digest(key);
  return (authorization) => {
    const [, found = ""] = /^Bearer +(\S+)\s*$/i.exec(authorization ?? "") ?? [];
    return timingSafeEqual(digest(found), wanted);
  };
}
