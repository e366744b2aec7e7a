/** What has to be known of a cell before it is translated, read by the parser that translates it. */

import { tslabTypescript } from './typescript.js';

export interface CellSyntax {
  /** What it imports, but for types alone: at its top, or later by `import('name')`. */
  readonly imports: readonly string[];
  /** Whether it has a `for await` outside of functions, which tslab takes for one that needs no waiting. */
  readonly hasForAwait: boolean;
}

/** Of a cell that is nested too deep to be read, nothing: the translation says so. */
export function readCellSyntax(code: string): CellSyntax {
  try {
    return findSyntax(code);
  } catch {
    return { imports: [], hasForAwait: false };
  }
}

function findSyntax(code: string): CellSyntax {
  const ts = tslabTypescript() as unknown as Parser;
  const file = ts.createSourceFile('cell.ts', code, ts.ScriptTarget.Latest, false);
  const imports = new Set<string>();
  let hasForAwait = false;
  const visit = (node: SyntaxNode, isInFunction: boolean): void => {
    if (ts.isImportDeclaration(node) && node.importClause?.isTypeOnly !== true)
      imports.add(node.moduleSpecifier.text);
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [name] = node.arguments;
      if (name !== undefined && ts.isStringLiteralLike(name)) imports.add(name.text);
    }
    if (ts.isForOfStatement(node) && node.awaitModifier !== undefined) hasForAwait ||= !isInFunction;
    ts.forEachChild(node, (child) => visit(child, isInFunction || ts.isFunctionLike(node)));
  };
  visit(file, false);
  return { imports: [...imports], hasForAwait };
}

/** What is needed here beside the rest of `syntax.ts`. */
interface Parser {
  readonly ScriptTarget: { readonly Latest: number };
  readonly SyntaxKind: { readonly ImportKeyword: number };
  createSourceFile(name: string, text: string, target: number, setParents: boolean): SyntaxNode;
  forEachChild(node: SyntaxNode, visit: (child: SyntaxNode) => void): void;
  isCallExpression(node: SyntaxNode): node is CallExpression;
  isForOfStatement(node: SyntaxNode): node is ForOfStatement;
  isFunctionLike(node: SyntaxNode): boolean;
  isImportDeclaration(node: SyntaxNode): node is ImportDeclaration;
  isStringLiteralLike(node: SyntaxNode): node is TextNode;
}
interface SyntaxNode {
  readonly kind: number;
}
interface TextNode extends SyntaxNode {
  readonly text: string;
}
interface CallExpression extends SyntaxNode {
  readonly expression: SyntaxNode;
  readonly arguments: readonly SyntaxNode[];
}
interface ForOfStatement extends SyntaxNode {
  readonly awaitModifier?: SyntaxNode;
}
interface ImportDeclaration extends SyntaxNode {
  readonly importClause?: { readonly isTypeOnly: boolean };
  readonly moduleSpecifier: TextNode;
}
