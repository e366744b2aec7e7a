/** Which experts a run's rows went to while it decoded: what a prediction of the same texts can go by. */

export interface RoutingReport {
  /** Rows of a micro-batch in a pass, on average. */
  readonly rowsPerPass: number;
  /** By layer: how many experts those went to, on average; 1 where there is no choice. */
  readonly distinctPerPass: readonly number[];
  /** (layer, expert): rows in all; of a layer without a choice, one number. */
  readonly rowsByExpert: readonly (readonly number[])[];
  /** Where what is brought depends on what was brought before. */
  readonly trace?: RoutingTrace;
}

/** What every router said, turn by turn: a micro-batch in a pass, prefill included. */
export interface RoutingTrace {
  /** (layer, turn): experts and how many rows chose each, by turns. */
  readonly chosen: readonly (readonly (readonly number[])[])[];
  /** (layers before less one, layer, turn): experts that were foreseen to be chosen then. */
  readonly foreseen: readonly (readonly (readonly (readonly number[])[])[])[];
}

/**
 * How often a layer's experts are likely to be chosen, of how often they were: a short record is more uneven than its
 * router, by chance alone. Deviations from the mean shrink by the share of their variance that chance explains (James and
 * Stein, Estimation with Quadratic Loss, 1961).
 */
export function likelyRows(rows: readonly number[], expertsPerToken: number): readonly number[] {
  const mean = rows.reduce((sum, count) => sum + count, 0) / rows.length;
  const variance = rows.reduce((sum, count) => sum + (count - mean) ** 2, 0) / (rows.length - 1);
  const byChance = mean * (1 - expertsPerToken / rows.length);
  const kept = variance > byChance ? 1 - byChance / variance : 0;
  return rows.map((count) => mean + kept * (count - mean));
}

interface LayerCount {
  passes: number;
  distinct: number;
  readonly rows: number[];
}

export class RoutingCounter {
  readonly #layers: LayerCount[] = [];
  readonly #expertsPerToken: readonly number[];

  readonly #chosen: number[][][];
  readonly #foreseen: (readonly number[])[][][] = [];

  /** @param expertsPerToken by layer */
  constructor(expertsPerToken: readonly number[]) {
    this.#expertsPerToken = expertsPerToken;
    this.#chosen = expertsPerToken.map(() => []);
  }

  /** What a router said, and what the next ones are expected to. */
  trace(
    layer: number,
    rowsPerExpert: readonly number[],
    foreseen: readonly (readonly number[])[] = [],
  ): void {
    this.#chosen[layer].push(rowsPerExpert.flatMap((rows, expert) => (rows > 0 ? [expert, rows] : [])));
    // Layer by layer of a pass: the next one's turn has the number of the latest of this one.
    const turn = this.#chosen[layer].length - 1;
    for (const [index, experts] of foreseen.entries()) {
      this.#foreseen[index] ??= this.#expertsPerToken.map(() => []);
      this.#foreseen[index][layer + 1 + index][turn] = experts;
    }
  }

  /** A micro-batch has passed a layer's router. */
  count(layer: number, rowsPerExpert: readonly number[]): void {
    this.#layers[layer] ??= { passes: 0, distinct: 0, rows: rowsPerExpert.map(() => 0) };
    const own = this.#layers[layer];
    own.passes += 1;
    for (const [expert, rows] of rowsPerExpert.entries()) {
      own.rows[expert] += rows;
      if (rows > 0) own.distinct += 1;
    }
  }

  #traced(): RoutingTrace {
    return {
      chosen: this.#chosen,
      foreseen: this.#foreseen.map((layers) =>
        layers.map((turns) => Array.from(turns, (experts) => experts ?? [])),
      ),
    };
  }

  /** Null where there was nothing to choose. */
  report(): RoutingReport | null {
    const layers = this.#expertsPerToken.map((_, layer) => this.#layers[layer] ?? nothing);
    const which = layers.findIndex(({ rows }) => rows.length > 1);
    if (which < 0) return null;
    const chosen = layers[which].rows.reduce((sum, rows) => sum + rows, 0);
    return {
      rowsPerPass: chosen / this.#expertsPerToken[which] / layers[which].passes,
      distinctPerPass: layers.map(({ distinct, passes }) => distinct / Math.max(1, passes)),
      rowsByExpert: layers.map(({ rows }) => rows),
      ...(this.#chosen.some(({ length }) => length > 0) ? { trace: this.#traced() } : {}),
    };
  }
}

const nothing: LayerCount = { passes: 0, distinct: 0, rows: [0] };
