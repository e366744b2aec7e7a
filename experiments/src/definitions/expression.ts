/**
 * Expressions over axes and settings, from strangers: parsed by mathjs, checked node by node against what is allowed,
 * and only then evaluated by it. No assignments, ranges, lists, members or function definitions, so that nothing loops
 * and nothing but the given values and a few functions of numbers is reached.
 */

import { parseNumber, quote, reasonOf, UserError } from '@specoffload/input';
import type { MathNode } from 'mathjs';
import { loadMath } from '../inputs/math.js';
import type { SettingValue } from '../store/record.js';

export type ExpressionValue = SettingValue | boolean;

export interface Expression {
  readonly text: string;
  /** What it reads, each once. */
  readonly names: readonly string[];
  /** @throws UserError when a name has no value, or the result is no finite number, text or truth value. */
  evaluate(values: Readonly<Record<string, ExpressionValue | undefined>>): ExpressionValue;
}

const mostCharacters = 1000;

/** Of numbers, each bounded in time. */
const functionNames: readonly string[] = [
  ...['abs', 'ceil', 'exp', 'floor', 'log', 'log10', 'log2', 'max', 'min', 'mod', 'pow', 'round', 'sqrt'],
];

const operators: readonly string[] = [
  ...['add', 'subtract', 'multiply', 'divide', 'mod', 'pow', 'unaryMinus', 'unaryPlus'],
  ...['equal', 'unequal', 'smaller', 'larger', 'smallerEq', 'largerEq', 'and', 'or', 'not'],
];

/** Names that an axis may not have: expressions would read something else. */
export const reservedNames: readonly string[] = [
  ...functionNames,
  ...['and', 'or', 'not', 'xor', 'in', 'to', 'true', 'false', 'null', 'undefined', 'NaN', 'Infinity', 'end'],
];

/** Stands for == in the tree: mathjs compares numbers only. No axis can be called so. */
const sameName = '_same';

/** A number that would become another one when it is read, as it is written; null where there is none. */
function findRounded(text: string): string | null {
  for (const [token] of text.matchAll(
    /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|(?<![\w.])(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?/gi,
  ))
    if (!/^["']/.test(token) && parseNumber(token) === null) return token;
  return null;
}

/**
 * @param allowed names that have a value.
 * @param where named in messages: `filters[0]`.
 * @throws UserError saying what is not allowed.
 */
export function parseExpression(text: unknown, allowed: Iterable<string>, where: string): Expression {
  const refuse = (what: string, expected: string): never => {
    const shown = typeof text === 'string' ? text.slice(0, 80) : quote(text);
    throw new UserError(`invalid ${where}: ${shown}; ${what}, expected ${expected}`);
  };
  if (typeof text !== 'string' || text.trim() === '')
    return refuse('it is no text', 'an expression such as candidates <= 8');
  if (text.length > mostCharacters)
    return refuse(`it has ${text.length} characters`, `at most ${mostCharacters}`);
  const rounded = findRounded(text);
  if (rounded !== null) return refuse(`${rounded} would become another number`, 'numbers that 64 bits hold');
  const math = loadMath();
  let root: MathNode;
  try {
    root = math.parse(text);
  } catch (error) {
    return refuse(
      `it cannot be read (${reasonOf(error)})`,
      'an expression such as candidates <= 8 or strategy == "none"',
    );
  }
  const known = new Set(allowed);
  const names = new Set<string>();
  checkNode(root, { known, names, refuse });
  const code = root.transform(replaceEquality).compile();
  const same = (a: unknown, b: unknown) =>
    typeof a === 'number' && typeof b === 'number' ? math.equal(a, b) : a === b;
  return {
    text,
    names: [...names],
    evaluate(values) {
      const scope = new Map<string, unknown>([[sameName, same]]);
      for (const name of names) {
        const value = values[name];
        if (value === undefined)
          throw new UserError(
            `cannot evaluate ${where}: ${text}; ${name} has no value here, set it or leave it out`,
          );
        scope.set(name, value);
      }
      return assertPlain(evaluateIn(code, scope, text, where), text, where);
    },
  };
}

interface CheckContext {
  readonly known: ReadonlySet<string>;
  /** Mutated: collects what is read. */
  readonly names: Set<string>;
  readonly refuse: (what: string, expected: string) => never;
}

/** Fields of mathjs nodes that are looked at here. */
interface AnyNode {
  readonly type: string;
  readonly value?: unknown;
  readonly name?: string;
  readonly fn?: string | AnyNode;
  readonly args?: readonly AnyNode[];
  readonly params?: readonly AnyNode[];
  readonly content?: AnyNode;
  readonly condition?: AnyNode;
  readonly trueExpr?: AnyNode;
  readonly falseExpr?: AnyNode;
  readonly isUnary?: () => boolean;
}

function checkNode(node: MathNode | AnyNode, context: CheckContext): void {
  const { refuse, known, names } = context;
  const { type, value, name, fn, args = [], params = [], content } = node as AnyNode;
  const check = (...children: readonly (AnyNode | undefined)[]) => {
    for (const child of children) if (child) checkNode(child, context);
  };
  switch (type) {
    case 'ConstantNode':
      if (!['number', 'string', 'boolean'].includes(typeof value))
        refuse(`it contains ${quote(value)}`, 'numbers, texts, true and false');
      return;
    case 'SymbolNode':
      if (!known.has(name!)) refuse(`${name} is no axis or setting`, `names such as ${listFew(known)}`);
      names.add(name!);
      return;
    case 'ParenthesisNode':
      check(content);
      return;
    case 'OperatorNode':
      if (!operators.includes(fn as string))
        refuse(`it uses ${nameOf(fn)}`, 'arithmetic, comparisons, and, or, not');
      check(...args);
      return;
    case 'RelationalNode':
      check(...params);
      return;
    case 'ConditionalNode': {
      const { condition, trueExpr, falseExpr } = node as AnyNode;
      check(condition, trueExpr, falseExpr);
      return;
    }
    case 'FunctionNode': {
      const called = typeof fn === 'object' ? (fn.type === 'SymbolNode' ? fn.name! : fn.type) : nameOf(fn);
      if (!functionNames.includes(called))
        refuse(`it calls ${called}`, `one of the functions ${functionNames.join(', ')}`);
      check(...args);
      return;
    }
    default:
      refuse(
        `it contains ${describeNode(type)}`,
        'numbers, texts, names of axes and settings, arithmetic, comparisons and conditions',
      );
  }
}

function listFew(names: ReadonlySet<string>): string {
  return [...names].slice(0, 12).join(', ');
}

function nameOf(fn: unknown): string {
  return typeof fn === 'string' ? fn : quote(fn);
}

/** What mathjs computes with beside numbers, such as the root of -1, spells itself. */
function describeValue(value: unknown): string {
  return loadMath().isComplex(value) ? value.toString() : quote(value);
}

/** `a range` for RangeNode. */
function describeNode(type: string): string {
  const words = type
    .replace(/Node$/, '')
    .replace(/(?!^)[A-Z]/g, (letter) => ` ${letter}`)
    .toLowerCase();
  return `${/^[aeiou]/.test(words) ? 'an' : 'a'} ${words}`;
}

function replaceEquality(node: MathNode): MathNode {
  const { type, fn, args } = node as unknown as AnyNode;
  if (type !== 'OperatorNode' || !(fn === 'equal' || fn === 'unequal')) return node;
  const math = loadMath();
  const same = new math.FunctionNode(
    sameName,
    (args as unknown as MathNode[]).map((arg) => arg.transform(replaceEquality)),
  );
  return fn === 'equal' ? same : new math.OperatorNode('not', 'not', [same]);
}

function evaluateIn(
  code: { evaluate(scope: Map<string, unknown>): unknown },
  scope: Map<string, unknown>,
  text: string,
  where: string,
): unknown {
  try {
    return code.evaluate(scope);
  } catch (error) {
    throw new UserError(`cannot evaluate ${where}: ${text}; ${reasonOf(error)}, mend the expression`);
  }
}

function assertPlain(value: unknown, text: string, where: string): ExpressionValue {
  if (typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value))
    return value as ExpressionValue;
  throw new UserError(
    `cannot evaluate ${where}: ${text}; it gives ${describeValue(value)}, expected a finite number, a text, true or false`,
  );
}
