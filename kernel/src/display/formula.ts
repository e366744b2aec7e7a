/** Formulas as LaTeX: an expression as mathjs reads it, names and units upright, single letters as variables. */

import { createRequire } from 'node:module';
import type { MathNode, OperatorNode, SymbolNode } from 'mathjs';

/** As the one file that mathjs bundles for browsers: its 1,300 modules take two seconds to load. */
function loadMath(): typeof import('mathjs') {
  return createRequire(import.meta.url)('mathjs/lib/browser/math.js') as typeof import('mathjs');
}

/**
 * @param formula a mathjs expression such as `tokens = 1 + p + p^2`, or LaTeX, which has a `\` or stands in `$`
 * @throws Error naming the expression, when mathjs cannot read it.
 */
export function toLatex(formula: string): string {
  const trimmed = formula.trim();
  if (trimmed.startsWith('$') || trimmed.includes('\\')) return trimmed.replace(/^\$+|\$+$/g, '').trim();
  const math = loadMath();
  const parsed = parseExpression(math, trimmed);
  const units = findUnits(parsed, (name) => math.Unit.isValuelessUnit(name));
  return parsed
    .toTex({
      parenthesis: 'auto',
      handler: (node: MathNode) => (isSymbol(node) ? symbolToLatex(node.name, units.has(node)) : undefined),
    })
    .trim();
}

function parseExpression({ parse }: typeof import('mathjs'), formula: string): MathNode {
  try {
    return parse(formula);
  } catch (error) {
    throw new Error(
      `invalid formula: ${formula}; ${(error as Error).message}; expected a mathjs expression, or LaTeX between $ signs`,
    );
  }
}

const isSymbol = (node: MathNode): node is SymbolNode => node.type === 'SymbolNode';
const isOperator = (node: MathNode, op: string): node is OperatorNode =>
  node.type === 'OperatorNode' && (node as OperatorNode).op === op;

/** Symbols that are units where they stand: right behind a number (`25 GB`) or below such a quantity (`25 GB / s`). */
function findUnits(root: MathNode, isUnitName: (name: string) => boolean): ReadonlySet<MathNode> {
  const units = new Set<MathNode>();
  const isQuantity = (node: MathNode): boolean => {
    if (isOperator(node, '*') && node.implicit) {
      const [value, unit] = node.args as [MathNode, MathNode];
      if (value.type !== 'ConstantNode' || !isSymbol(unit) || !isUnitName(unit.name)) return false;
      units.add(unit);
      return true;
    }
    if (!isOperator(node, '/')) return false;
    const [quantity, unit] = node.args as [MathNode, MathNode];
    if (!isSymbol(unit) || !isUnitName(unit.name) || !isQuantity(quantity)) return false;
    units.add(unit);
    return true;
  };
  root.traverse(isQuantity);
  return units;
}

const greekLetters = new Set(
  'alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi psi omega'.split(
    ' ',
  ),
);

/** `p` slanted, `p1` and `p_1` with an index, `alpha` Greek, `weightBytes` upright. */
function symbolToLatex(name: string, isUnit: boolean): string {
  const [base = name, ...indices] = name.split(/_|(?<=^[A-Za-z])(?=\d+$)/);
  const index = indices.length === 0 ? '' : `_{${indices.map((part) => wordToLatex(part, false)).join(',')}}`;
  return ` ${wordToLatex(base, isUnit)}${index}`; // the space ends a command before it, such as \cdot
}

function wordToLatex(word: string, isUnit: boolean): string {
  if (greekLetters.has(word)) return `\\${word}`;
  if (/^\d*$/.test(word) || (word.length === 1 && !isUnit)) return word;
  return `\\mathrm{${word.replace(/[%$#&]/g, '\\$&')}}`;
}
