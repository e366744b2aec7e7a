/**
 * `{ quick }` as `{ quick: quick }`. tslab turns names of earlier cells into `exports.quick`, but asks TypeScript what
 * a name stands for in a way that finds the property where it is written in short (`wrapPrevIdentifier` in its
 * converter), so that a cell that writes `{ quick }` fails with `quick is not defined`.
 */

import type { SyntaxNode } from './syntax.js';
import { tslabTypescript } from './typescript.js';

export interface SpelledOut {
  readonly code: string;
  /** Where an offset in `code` lies in the original. */
  toOriginal(offset: number): number;
}

/** Everything else stays as it is; lines keep their numbers. */
export function spellOutShorthand(code: string): SpelledOut {
  const ts = tslabTypescript();
  const file = ts.createSourceFile('cell.ts', code, ts.ScriptTarget.Latest, true);
  const names: SyntaxNode[] = [];
  const visit = (node: SyntaxNode): void => {
    if (ts.isShorthandPropertyAssignment(node)) names.push(node.name);
    ts.forEachChild(node, visit);
  };
  visit(file);
  const added = names.map((name) => {
    const text = name.getText(file);
    return { at: name.end, start: name.end - text.length, text: `: ${text}` };
  });
  return {
    code: added.reduceRight((text, { at, text: more }) => text.slice(0, at) + more + text.slice(at), code),
    toOriginal(offset) {
      let original = offset;
      for (const { at, start, text } of added) {
        if (original <= at) break;
        if (original < at + text.length) return start;
        original -= text.length;
      }
      return original;
    },
  };
}
