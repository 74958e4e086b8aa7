/**
 * How a quantity that is a product of many things (a speed, a time) is spread: by its logarithms, which lie about evenly around their middle. Pure.
 * @module
 */

/** One value that was seen. */
export interface Observation {
  /** Above zero. */
  value: number
  /** From 0 to 1: how much it counts. */
  weight: number
  /** It would have been more, had nothing else held it back. */
  isAtLeast?: boolean
}

/** Middle and width of the logarithms of what is to be expected next. */
export interface LogSpread {
  middle: number
  /** Of one more value, so it has in it how little is known of the middle and of the width itself. */
  width: number
  /** Values seen, by weight. */
  count: number
}

/** A spread nobody knows: as if two more values had been seen that lie as far from the middle. One value alone gives a factor of about four to either side. */
const assumedWidth = 0.5
const assumedCount = 2

/** With fewer whole values than this among bounds, a middle cannot be found from bounds. */
const leastWhole = 3
const rounds = 8

/** The spread of `seen`; undefined of nothing. `usualWidth` is what is taken for its width until enough was seen. */
export function logSpread(seen: readonly Observation[], usualWidth = assumedWidth): LogSpread | undefined {
  const known = seen.filter(({ value, weight }) => value > 0 && Number.isFinite(value) && weight > 0)
  if (known.length === 0) return undefined
  const whole = known.filter(({ isAtLeast }) => isAtLeast !== true)
  // Bounds alone say nothing of what is above them: then they are taken for values, which is slower than the truth and never faster.
  const areBoundsOfUse = whole.length >= leastWhole
  const points = known.map(({ value, weight, isAtLeast }) => ({
    at: Math.log(value),
    weight,
    isBound: areBoundsOfUse && isAtLeast === true,
  }))
  const count = weightOf(points)
  // Begun with those that are no bounds, which is nearer to the end of the rounds below.
  const first = points.filter(({ isBound }) => !isBound)
  let middle = meanOf(first.map(({ at, weight }) => ({ mean: at, weight })))
  const varianceOf = (moments: readonly { square: number; weight: number }[]): number => {
    const squares = moments.reduce((sum, { square, weight }) => sum + square * weight, 0)
    return (squares + assumedCount * usualWidth ** 2) / (weightOf(moments) + assumedCount - 1)
  }
  let variance = varianceOf(first.map(({ at, weight }) => ({ square: (at - middle) ** 2, weight })))
  // A bound stands for what lies above it on average, which depends on the spread: found in rounds.
  const needed = areBoundsOfUse && whole.length < known.length ? rounds : 0
  for (let round = 0; round < needed; round++) {
    const width = Math.sqrt(variance)
    const moments = points.map(({ at, weight, isBound }) =>
      isBound ? above(at, middle, width, weight) : { mean: at, square: (at - middle) ** 2, weight },
    )
    middle = meanOf(moments)
    variance = varianceOf(moments)
  }
  const width = Math.sqrt(variance * (1 + 1 / count)) * widening(count)
  return { middle, width, count }
}

function weightOf(points: readonly { weight: number }[]): number {
  return points.reduce((sum, { weight }) => sum + weight, 0)
}

function meanOf(points: readonly { mean: number; weight: number }[]): number {
  return points.reduce((sum, { mean, weight }) => sum + mean * weight, 0) / weightOf(points)
}

/** What Student's distribution is wider than the normal one at its tenths, within some percent. */
function widening(count: number): number {
  return 1 + 0.9 / (count + assumedCount - 1)
}

/** Mean of the values above `bound`, and of their squared distances from `middle`. */
function above(
  bound: number,
  middle: number,
  width: number,
  weight: number,
): { mean: number; square: number; weight: number } {
  const distance = (bound - middle) / width
  const excess = excessAbove(distance)
  return { mean: middle + width * excess, square: width ** 2 * (1 + distance * excess), weight }
}

/** Density of the normal distribution at `distance`, over what lies above it. */
function excessAbove(distance: number): number {
  // Far out the quotient is that of two numbers too small to be divided.
  if (distance > 5) return distance + 1 / distance
  const density = Math.exp(-(distance ** 2) / 2) / Math.sqrt(2 * Math.PI)
  return density / shareAbove(distance)
}

/** Share of the normal distribution above `distance` (Abramowitz and Stegun 26.2.17). */
function shareAbove(distance: number): number {
  if (distance < 0) return 1 - shareAbove(-distance)
  const step = 1 / (1 + 0.2316419 * distance)
  const series =
    step *
    (0.31938153 + step * (-0.356563782 + step * (1.781477937 + step * (-1.821255978 + step * 1.330274429))))
  return (Math.exp(-(distance ** 2) / 2) / Math.sqrt(2 * Math.PI)) * series
}

/** The value below which the share `rank` of sorted `values` lies, as one more value of the same kind would. */
export function conformalQuantile(values: readonly number[], rank: number): number | undefined {
  const place = rank < 0.5 ? Math.floor(rank * (values.length + 1)) : Math.ceil(rank * (values.length + 1))
  return values[place - 1]
}

/** The middle of `values`; undefined of none. */
export function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((one, other) => one - other)
  const upper = sorted[Math.floor(sorted.length / 2)]
  const lower = sorted[Math.floor((sorted.length - 1) / 2)]
  return upper === undefined || lower === undefined ? undefined : (lower + upper) / 2
}
