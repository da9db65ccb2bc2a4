/**
 * Processes that tests wait for, two at a time: each of them keeps little more than one core busy, and a test that begins
 * its own only when it is reached leaves the other one idle.
 *
 * @module
 */

/**
 * Does `jobs` in their order, two at a time, from the moment that the first result is asked for; gives a function that waits for
 * the result of a job by its number.
 */
export function inLanes<T>(jobs: readonly (() => Promise<T>)[], lanes = 2): (job: number) => Promise<T> {
  const results = jobs.map(() => Promise.withResolvers<T>());
  // Who fails is told by the test that waits for it.
  for (const { promise } of results) promise.catch(() => {});
  let next = 0;
  let begun = false;
  async function lane(): Promise<void> {
    while (next < jobs.length) {
      const job = next++;
      try {
        results[job].resolve(await jobs[job]());
      } catch (error) {
        results[job].reject(error);
      }
    }
  }
  return (job) => {
    if (!begun) { for (let count = 0; count < lanes; count++) void lane(); }
    begun = true;
    return results[job].promise;
  };
}
