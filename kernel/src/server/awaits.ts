/**
 * `await x` as `(resume(now(), await x))`: what an interrupted cell has left waiting ends when it would go on, instead
 * of working beside the next cell. The same for every turn of a `for await`.
 */

import type { SyntaxNode, Transformer, TypeScript } from './syntax.js';

/** What cells know `awaiting` of {@link file://./interruption.ts} by. */
export const awaitingName = '__specoffload';

/** Of cells alone; modules that they import keep their own. */
export function guardAwaits(ts: TypeScript): Transformer {
  const { factory } = ts;
  const call = (name: string, ...args: SyntaxNode[]) =>
    factory.createCallExpression(
      factory.createPropertyAccessExpression(factory.createIdentifier(awaitingName), name),
      undefined,
      args,
    );
  return (context) => (file) => {
    if (!/__tslab__\.ts$/.test(file.fileName)) return file;
    const visit = (node: SyntaxNode): SyntaxNode => {
      const inner = ts.visitEachChild(node, visit, context);
      if (ts.isAwaitExpression(node)) return call('resume', call('now'), inner);
      if (!ts.isForOfStatement(inner) || inner.awaitModifier === undefined) return inner;
      const { awaitModifier, initializer, expression, statement } = inner;
      return factory.updateForOfStatement(
        inner,
        awaitModifier,
        initializer,
        call('each', expression),
        statement,
      );
    };
    return ts.visitEachChild(file, visit, context);
  };
}
