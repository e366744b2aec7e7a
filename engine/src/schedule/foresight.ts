/** How often what was foreseen of a layer's router came true lately: whether it is worth bringing experts by it. */

/** Below, what was brought in vain takes more time than what was brought in time saves (the ideas that issue 15 collects). */
const leastPrecision = 0.7;

/** What a pass counts against the one after it: some ten passes are remembered. */
const fading = 0.9;

/** From so many layers before. */
interface LayerForesight {
  foreseen: ReadonlySet<string>;
  numForeseen: number;
  numRight: number;
}

export class Foresight {
  /** By layer, and by how many layers before. */
  readonly #layers: LayerForesight[][] = [];

  /** These are expected, so many layers before, to be chosen in the layer. @returns whether to bring them by that */
  expect(layer: number, distance: number, groups: readonly string[]): boolean {
    this.#layers[layer] ??= [];
    this.#layers[layer][distance] ??= { foreseen: new Set(), numForeseen: 0, numRight: 0 };
    const own = this.#layers[layer][distance];
    own.foreseen = new Set(groups);
    return own.numForeseen > 0 && own.numRight >= leastPrecision * own.numForeseen;
  }

  /** These were. @returns how many were foreseen, and how many of those rightly, by how many layers before */
  judge(
    layer: number,
    chosen: readonly string[],
  ): { readonly distance: number; readonly foreseen: number; readonly right: number }[] {
    return (this.#layers[layer] ?? []).flatMap((own, distance) => {
      const foreseen = own.foreseen.size;
      if (foreseen === 0) return [];
      const right = chosen.filter((group) => own.foreseen.has(group)).length;
      own.numForeseen = fading * own.numForeseen + foreseen;
      own.numRight = fading * own.numRight + right;
      own.foreseen = new Set();
      return [{ distance, foreseen, right }];
    });
  }
}
