import type { AppContext } from "../context.ts";

export function mountClassify(_root: HTMLElement, _context: AppContext): undefined {}
