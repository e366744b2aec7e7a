/**
 * `{ quick }` as `{ quick: quick }`. tslab turns names of earlier cells into `exports.quick`, but asks TypeScript what
 * a name stands for in a way that finds the property where it is written in short (`wrapPrevIdentifier` in its
 * converter), so that a cell that writes `{ quick }` fails with `quick is not defined`.
 */

import { requireFromKernel } from '../packages.js';

/** Everything else stays as it is; lines keep their numbers. */
export function spellOutShorthand(code: string): string {
  const ts = requireFromKernel('@tslab/typescript-for-tslab') as TypeScript;
  const file = ts.createSourceFile('cell.ts', code, ts.ScriptTarget.Latest, true);
  const names: SyntaxNode[] = [];
  const visit = (node: SyntaxNode): void => {
    if (ts.isShorthandPropertyAssignment(node)) names.push(node.name);
    ts.forEachChild(node, visit);
  };
  visit(file);
  return names.reduceRight(
    (text, name) => `${text.slice(0, name.end)}: ${name.getText(file)}${text.slice(name.end)}`,
    code,
  );
}

/** The little that is needed of tslab's TypeScript, which is not a package of ours. */
interface TypeScript {
  readonly ScriptTarget: { readonly Latest: number };
  createSourceFile(name: string, text: string, target: number, setParents: boolean): SyntaxNode;
  forEachChild(node: SyntaxNode, visit: (child: SyntaxNode) => void): void;
  isShorthandPropertyAssignment(node: SyntaxNode): node is ShorthandProperty;
}
interface SyntaxNode {
  /** Offset behind its last character. */
  readonly end: number;
  getText(file: SyntaxNode): string;
}
interface ShorthandProperty extends SyntaxNode {
  readonly name: SyntaxNode;
}
