/**
 * The order in which pairs of a SentencePiece vocabulary merge, from the scores of its tokens.
 *
 * @module
 */

/** More falling runs than this are sorted. */
const RUNS_MOST = 64;

/**
 * Ranks from scores: a higher score has a lower rank, equal scores share a rank. The ranks take the place of the scores: fresh memory
 * is expensive to touch.
 */
export function ranksOf(scores: Float32Array): Int32Array {
  return ranksByMerging(scores) ?? ranksBySorting(scores);
}

/** Ranks by merging, where the tokens are a few runs of falling scores, as in most files; else undefined. */
function ranksByMerging(scores: Float32Array): Int32Array | undefined {
  /** Where the rest of each run begins, and before which token it ends. */
  const rests = [0], ends: number[] = [];
  const count = scores.length;
  for (let token = 1; token < count; token++) {
    if (scores[token] <= scores[token - 1]) continue;
    if (rests.push(token) > RUNS_MOST) return undefined;
    ends.push(token);
  }
  ends.push(count);
  const ranks = new Int32Array(scores.buffer, scores.byteOffset, count);
  let rank = -1, last = NaN;
  for (let done = 0; done < count;) {
    // The run whose next score is highest gives its tokens until that of another is.
    let run = -1, highest = -Infinity, second = -Infinity;
    for (let other = 0; other < rests.length; other++) {
      const score = rests[other] < ends[other] ? scores[rests[other]] : NaN;
      if (run < 0 && score === score || score > highest) [run, second, highest] = [other, highest, score];
      else if (score > second) second = score;
    }
    let token = rests[run];
    for (const end = ends[run]; token < end && scores[token] >= second; token++) {
      if (scores[token] !== last) rank++;
      last = scores[token];
      ranks[token] = rank;
    }
    done += token - rests[run];
    rests[run] = token;
  }
  return ranks;
}

function ranksBySorting(scores: Float32Array): Int32Array {
  const bits = new Int32Array(1);
  const float = new Float32Array(bits.buffer);
  const count = scores.length;
  // One key for score and token: the score's bits made to sort downwards, then the token.
  const keys = new Float64Array(count);
  for (let token = 0; token < count; token++) {
    float[0] = scores[token] === 0 ? 0 : scores[token];
    const descending = bits[0] < 0 ? bits[0] >>> 0 : 0x7fffffff - bits[0];
    keys[token] = descending * count + token;
  }
  keys.sort();
  const ranks = new Int32Array(scores.buffer, scores.byteOffset, count);
  let rank = -1, last = NaN;
  for (let place = 0; place < count; place++) {
    const token = keys[place] % count;
    if (scores[token] !== last) rank++;
    last = scores[token];
    ranks[token] = rank;
  }
  return ranks;
}
