import type { SiglipError } from "../support/error.ts";

/** Failures that are told one by one; the others are counted. */
const TOLD = 1000;

/** Characters of a failure's message that are kept. */
const LENGTH = 500;

/** What could not be embedded. */
export class Failures {
  readonly messages: string[] = [];
  /** How many there are, told or not. */
  count = 0;
  /** The last of them. */
  last: SiglipError | undefined;

  add(error: SiglipError): void {
    this.count++;
    this.last = error;
    if (this.messages.length < TOLD) this.messages.push(error.message.slice(0, LENGTH));
  }
}
