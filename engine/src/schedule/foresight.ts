/** How often what was foreseen of a layer's router came true lately: whether it is worth bringing experts by it. */

/** Below, what was brought in vain takes more time than what was brought in time saves (the ideas that issue 15 collects). */
const leastPrecision = 0.7;

/** What a pass counts against the one after it: some ten passes are remembered. */
const fading = 0.9;

interface LayerForesight {
  foreseen: ReadonlySet<string>;
  numForeseen: number;
  numRight: number;
}

export class Foresight {
  readonly #layers: (LayerForesight | undefined)[] = [];

  /** These are expected to be chosen in the layer. @returns whether to bring them by that */
  expect(layer: number, groups: readonly string[]): boolean {
    this.#layers[layer] ??= { foreseen: new Set(), numForeseen: 0, numRight: 0 };
    const own = this.#layers[layer];
    own.foreseen = new Set(groups);
    return own.numForeseen > 0 && own.numRight >= leastPrecision * own.numForeseen;
  }

  /** These were. @returns how many were foreseen, and how many of those rightly */
  judge(layer: number, chosen: readonly string[]): { readonly foreseen: number; readonly right: number } {
    const own = this.#layers[layer];
    if (!own || own.foreseen.size === 0) return { foreseen: 0, right: 0 };
    const foreseen = own.foreseen.size;
    const right = chosen.filter((group) => own.foreseen.has(group)).length;
    own.numForeseen = fading * own.numForeseen + foreseen;
    own.numRight = fading * own.numRight + right;
    own.foreseen = new Set();
    return { foreseen, right };
  }
}
