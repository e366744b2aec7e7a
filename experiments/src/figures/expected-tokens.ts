/** What a round of speculation brings: the formula, what the released planner has in its place, what happened. */

import { type AcceptanceRates, expectedTokens, releasedExpectedTokens } from '@specoffload/engine';
import type { Figure } from '@specoffload/kernel';
import { colorsFor, createFigure, hoverLines, label, type Titles } from './theme.js';

export interface ExpectedTokensOptions extends Partial<Titles> {
  /** A curve for each: a rate, or rates by position under a name. */
  readonly rates: readonly (number | AcceptanceRates)[];
  /** @default 12 */
  readonly mostCandidates?: number;
  /** Draws the released planner's formula beside each single rate. @default true */
  readonly showsReleased?: boolean;
  /** What runs really got. */
  readonly observed?: readonly {
    readonly name: string;
    readonly candidates: number;
    readonly tokensPerRound: number;
  }[];
}

/** `expectedTokensCurves({ rates: [0.6, 0.8], observed: [{ name: 'code', candidates: 4, tokensPerRound: 2.9 }] })` */
export function expectedTokensCurves(options: ExpectedTokensOptions): Figure {
  const { rates, mostCandidates = 12, showsReleased = true, observed = [] } = options;
  const x = Array.from({ length: mostCandidates + 1 }, (_, candidates) => candidates);
  const names = rates.map((rate) => (typeof rate === 'number' ? `rate ${rate}` : rate.name));
  const colors = colorsFor([...new Set([...names, ...observed.map(({ name }) => name)])]);
  const curve = (name: string, y: readonly number[], color: string, dash: string) => ({
    ...{ type: 'scatter', mode: 'lines', name: label(name), x, y, line: { color, width: 2.2, dash } },
    hovertext: y.map((tokens, candidates) =>
      hoverLines(name, `${candidates} candidates: ${tokens.toFixed(2)} tokens`),
    ),
    hoverinfo: 'text',
  });
  const curves = rates.flatMap((rate, i) => {
    const [name, color] = [names[i], colors.get(names[i])!];
    const byPosition: AcceptanceRates =
      typeof rate === 'number' ? { kind: 'rates', name, byPosition: [rate] } : rate;
    const right = curve(
      name,
      x.map((candidates) => expectedTokens(byPosition, candidates)),
      color,
      'solid',
    );
    if (!showsReleased || typeof rate !== 'number') return [right];
    const released = x.map((candidates) => releasedExpectedTokens(rate, candidates));
    return [right, { ...curve(`${name}, released planner`, released, color, 'dot'), showlegend: false }];
  });
  const points = [...new Set(observed.map(({ name }) => name))].map((name) => {
    const members = observed.filter((point) => point.name === name);
    return {
      ...{ type: 'scatter', mode: 'markers', name: label(`${name}, observed`) },
      x: members.map(({ candidates }) => candidates),
      y: members.map(({ tokensPerRound }) => tokensPerRound),
      marker: { color: colors.get(name), size: 9, symbol: 'diamond', line: { color: 'white', width: 1 } },
      hovertext: members.map(({ candidates, tokensPerRound }) =>
        hoverLines(name, `${candidates} candidates: ${tokensPerRound.toFixed(2)} tokens observed`),
      ),
      hoverinfo: 'text',
    };
  });
  return createFigure(
    {
      title: options.title ?? 'tokens that a round brings',
      subtitle:
        options.subtitle ??
        (showsReleased
          ? "dotted: the released planner's formula, which loses rounds that accept everything"
          : ''),
    },
    [...curves, ...points],
    {
      xaxis: { title: { text: 'candidates per round' }, dtick: 1, range: [-0.2, mostCandidates + 0.2] },
      yaxis: { title: { text: 'expected tokens per sequence and round' }, rangemode: 'tozero' },
      hovermode: 'closest',
    },
  );
}
