/**
 * Which of some things can come back to themselves by what each leads to: names that use names, rules that begin with rules.
 *
 * @module
 */

/**
 * The groups of things that lead to each other (Tarjan 1972, with a stack of its own); a thing alone is one where it leads to itself.
 *
 * @param next of each thing, by number, the things that it leads to
 * @returns the groups, each before those that lead to it
 */
export function circlesOf(next: readonly (readonly number[])[]): number[][] {
  const order = new Map<number, number>();
  const lowest: number[] = [];
  const path: number[] = [];
  const onPath = new Set<number>();
  const circles: number[][] = [];
  const visit = (start: number) => {
    const stack = [{ thing: start, next: 0 }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const { thing } = top;
      if (top.next === 0) {
        order.set(thing, order.size);
        lowest[thing] = order.get(thing) as number;
        path.push(thing);
        onPath.add(thing);
      }
      const child = next[thing][top.next++];
      if (child !== undefined) {
        if (!order.has(child)) stack.push({ thing: child, next: 0 });
        else if (onPath.has(child)) lowest[thing] = Math.min(lowest[thing], order.get(child) as number);
        continue;
      }
      stack.pop();
      const parent = stack.at(-1)?.thing;
      if (parent !== undefined) lowest[parent] = Math.min(lowest[parent], lowest[thing]);
      if (lowest[thing] !== order.get(thing)) continue;
      const circle = path.splice(path.lastIndexOf(thing));
      circle.forEach((member) => onPath.delete(member));
      if (circle.length > 1 || next[thing].includes(thing)) circles.push(circle);
    }
  };
  next.forEach((_, thing) => order.has(thing) || visit(thing));
  return circles;
}
