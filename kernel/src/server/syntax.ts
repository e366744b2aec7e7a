/** The little that the kernel needs of tslab's TypeScript, which is no package of ours and brings no types here. */

import type { System } from './resolution.js';

export interface TypeScript {
  readonly version: string;
  readonly sys: System;
  readonly ScriptTarget: { readonly Latest: number };
  readonly factory: NodeFactory;
  createSourceFile(name: string, text: string, target: number, setParents: boolean): SourceFile;
  forEachChild(node: SyntaxNode, visit: (child: SyntaxNode) => void): void;
  visitEachChild<T extends SyntaxNode>(
    node: T,
    visit: (child: SyntaxNode) => SyntaxNode,
    context: unknown,
  ): T;
  isAwaitExpression(node: SyntaxNode): boolean;
  isForOfStatement(node: SyntaxNode): node is ForOfStatement;
  isShorthandPropertyAssignment(node: SyntaxNode): node is ShorthandProperty;
  transpileModule(text: string, options: { readonly compilerOptions: object }): Transpiled;
  createWatchCompilerHost(
    files: unknown,
    options: object,
    system: unknown,
    createProgram: unknown,
    ...rest: unknown[]
  ): WatchHost;
  createAbstractBuilder(...args: unknown[]): Builder;
  bindSourceFile(file: SourceFile, options: object): void;
  createWatchProgram(host: WatchHost): unknown;
}

export interface SyntaxNode {
  /** Offset behind its last character. */
  readonly end: number;
  getText(file: SyntaxNode): string;
}

export interface SourceFile extends SyntaxNode {
  readonly fileName: string;
  /** Of syntax alone. */
  readonly parseDiagnostics: readonly SyntaxDiagnostic[];
  readonly resolvedModules?: {
    forEach(visit: (resolution: { readonly resolvedModule?: ResolvedModule }) => void): void;
  };
}

export interface ResolvedModule {
  readonly resolvedFileName: string;
}

export interface Program {
  getSourceFile(name: string): SourceFile | undefined;
}

/** What a program asks for its files. */
export interface ProgramHost {
  /** Of a file that is part of the program no longer. */
  onReleaseOldSourceFile(file: SourceFile, ...rest: unknown[]): void;
}

export interface SyntaxDiagnostic {
  readonly code: number;
  readonly start: number;
}

export interface ForOfStatement extends SyntaxNode {
  readonly awaitModifier?: SyntaxNode;
  readonly initializer: SyntaxNode;
  readonly expression: SyntaxNode;
  readonly statement: SyntaxNode;
}

export interface ShorthandProperty extends SyntaxNode {
  readonly name: SyntaxNode;
}

interface NodeFactory {
  createIdentifier(name: string): SyntaxNode;
  createPropertyAccessExpression(of: SyntaxNode, name: string): SyntaxNode;
  createCallExpression(callee: SyntaxNode, types: undefined, args: readonly SyntaxNode[]): SyntaxNode;
  updateForOfStatement(
    node: ForOfStatement,
    awaitModifier: SyntaxNode,
    initializer: SyntaxNode,
    expression: SyntaxNode,
    statement: SyntaxNode,
  ): SyntaxNode;
}

export type Transformer = (context: unknown) => (file: SourceFile) => SourceFile;

export interface Transformers {
  readonly after?: readonly Transformer[];
}

export interface Builder {
  getProgram(): Program;
  getCompilerOptions(): object;
  getSourceFile(name: string): SourceFile | undefined;
  getAllDependencies(file: SourceFile): readonly string[];
  emit(
    file: unknown,
    write: unknown,
    token: unknown,
    onlyTypes: unknown,
    transformers: Transformers,
  ): unknown;
}

export interface WatchHost {
  afterProgramCreate(builder: Builder): void;
}

interface Transpiled {
  readonly outputText: string;
  readonly sourceMapText?: string;
}
