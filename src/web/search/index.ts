import type { AppContext } from "../context.ts";

export function mountSearch(_root: HTMLElement, _context: AppContext): undefined {}
