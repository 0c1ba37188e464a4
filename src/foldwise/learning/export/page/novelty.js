"use strict";
// How unlike the training images an image is: the rule of `foldwise/data/novelty.py`, which says why it is so.
// `rule` is what foldwise wrote down of the training images; images are planes of values, one for each channel.
const novelty = (() => {
  const root = (value) => Math.sign(value) * Math.sqrt(Math.abs(value));
  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

  // [top, bottom, left, right]: the image, or evenly drawn parts of a large one.
  function parts(rule, width, height) {
    if (width * height <= rule.full) return [[0, height, 0, width]];
    const starts = (length) => Array.from({ length: rule.patches }, (_, k) =>
      Math.trunc((Math.max(length - rule.patch, 0) * k) / (rule.patches - 1)));
    return starts(height).flatMap((top) => starts(width).map((left) =>
      [top, Math.min(top + rule.patch, height), left, Math.min(left + rule.patch, width)]));
  }

  function greyOf(planes, width, [top, bottom, left, right]) {
    const across = right - left, grey = new Float32Array((bottom - top) * across);
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        let sum = 0;
        for (const plane of planes) sum += plane[y * width + x];
        grey[(y - top) * across + x - left] = sum / planes.length;
      }
    }
    return grey;
  }

  // Means of every channel, and how far channels are from the grey value, of every other row and column.
  function colours(planes, grey, width, [top, bottom, left, right]) {
    const sums = planes.map(() => 0);
    let apart = 0, number = 0;
    for (let y = top; y < bottom; y += 2) {
      for (let x = left; x < right; x += 2) {
        const own = grey[(y - top) * (right - left) + x - left];
        planes.forEach((plane, channel) => {
          sums[channel] += plane[y * width + x];
          apart += Math.abs(plane[y * width + x] - own);
        });
        number++;
      }
    }
    return [...sums.map((sum) => sum / number), apart / (number * planes.length)];
  }

  // Adds squared steps between neighbours, down and across, and their number, at each scale; each is half the last.
  function addTexture(texture, first, firstHeight, firstWidth) {
    let grey = first, height = firstHeight, width = firstWidth;
    for (const level of texture) {
      if (Math.min(height, width) < 4) return;
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const at = y * width + x;
          if (y + 1 < height) level.sums[0] += (grey[at + width] - grey[at]) ** 2;
          if (x + 1 < width) level.sums[1] += (grey[at + 1] - grey[at]) ** 2;
        }
      }
      level.counts[0] += (height - 1) * width;
      level.counts[1] += height * (width - 1);
      const down = Math.trunc(height / 2), across = Math.trunc(width / 2), next = new Float32Array(down * across);
      for (let y = 0; y < down; y++) {
        for (let x = 0; x < across; x++) {
          const at = 2 * y * width + 2 * x;
          next[y * across + x] = (grey[at] + grey[at + 1] + grey[at + width] + grey[at + width + 1]) / 4;
        }
      }
      [grey, height, width] = [next, down, across];
    }
  }

  function percentiles(values, shares) {
    const sorted = Float32Array.from(values).sort();
    return shares.map((share) => {
      const at = (share / 100) * (sorted.length - 1), below = Math.floor(at), above = Math.min(below + 1, sorted.length - 1);
      return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
    });
  }

  function spread(chunks) {
    let number = 0, total = 0, squares = 0;
    for (const chunk of chunks) for (const value of chunk) { total += value; number++; }
    for (const chunk of chunks) for (const value of chunk) squares += (value - total / number) ** 2;
    return Math.sqrt(squares / number);
  }

  // Some 20 numbers of an image; NaN of scales that a small one does not have.
  function numbersOf(rule, { planes, width, height }) {
    const greys = [], allColours = [];
    const texture = Array.from({ length: rule.levels }, () => ({ sums: [0, 0], counts: [0, 0] }));
    for (const part of parts(rule, width, height)) {
      const grey = greyOf(planes, width, part);
      greys.push(grey);
      allColours.push(colours(planes, grey, width, part));
      addTexture(texture, grey, part[1] - part[0], part[3] - part[2]);
    }
    const size = greys.reduce((sum, grey) => sum + grey.length, 0), each = Math.max(1, Math.trunc(size / 65536)), some = [];
    let start = 0; // of a part, in all of them together
    for (const grey of greys) {
      for (let at = (each - (start % each)) % each; at < grey.length; at += each) some.push(grey[at]);
      start += grey.length;
    }
    const [low, quarter, middle, three, high] = percentiles(some, [1, 25, 50, 75, 99]);
    const tiny = 1e-3 * (Math.abs(low) + Math.abs(high)) + 1e-6, contrast = spread(greys) + tiny;
    const steps = texture.map(({ sums, counts }) => [0, 1].map((k) => (counts[k] ? Math.sqrt(sums[k] / counts[k]) : NaN) + tiny));
    const together = allColours[0].map((_, k) => mean(allColours.map((one) => one[k])));
    const means = together.slice(0, -1), colourful = together.at(-1);
    const numbers = [
      ...[low, quarter, middle, three, high].map(root), Math.log(contrast),
      (low + high - 2 * middle) / (high - low + tiny), Math.log((three - quarter + tiny) / contrast),
      ...steps.map(([down, across]) => Math.log(Math.sqrt((down ** 2 + across ** 2) / 2) / contrast)),
      Math.log(steps[2][0] / steps[2][1]),
    ];
    if (means.length < 2) return numbers;
    return [...numbers, Math.log((colourful + tiny) / contrast), ...means.map((one) => root(one) - root(mean(means)))];
  }

  function logGamma(value) {
    let shift = 0, z = value;
    for (; z < 10; z++) shift -= Math.log(z);
    return shift + (z - 0.5) * Math.log(z) - z + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * z) - 1 / (360 * z ** 3) + 1 / (1260 * z ** 5);
  }

  // The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22).
  function incompleteBeta(x, a, b) {
    if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
    let fraction = 1;
    for (let m = 120; m > 0; m--) { // from its end, where the rest no longer counts
      const half = Math.trunc(m / 2);
      const term = m % 2
        ? (-(a + half) * (a + b + half) * x) / ((a + 2 * half) * (a + 2 * half + 1))
        : (half * (b - half) * x) / ((a + 2 * half - 1) * (a + 2 * half));
      fraction = 1 + term / fraction;
    }
    const front = a * Math.log(x) + b * Math.log1p(-x) + logGamma(a + b) - logGamma(a) - logGamma(b);
    return x > 0 ? Math.exp(front) / (a * fraction) : 0;
  }

  // Student's t: the share below a value.
  function belowT(freedom, value) {
    const tail = incompleteBeta(freedom / (freedom + value ** 2), freedom / 2, 0.5) / 2;
    return value < 0 ? tail : 1 - tail;
  }

  function scaled(rule, numbers) {
    return rule.there.map((number, k) => {
      const value = (numbers[number] - rule.middle[k]) / rule.spread[k];
      return Number.isFinite(value) ? value : 0; // what it does not have is no evidence
    });
  }

  // The share of usual distances that are as large, and the same by a t of their logarithms.
  function ranked(rule, numbers) {
    const own = scaled(rule, numbers);
    const distances = rule.scaled.map((other) => Math.sqrt(mean(other.map((value, k) => (value - own[k]) ** 2))));
    const distance = mean(distances.sort((a, b) => a - b).slice(0, rule.nearest));
    const { groups, weights } = rule, logs = rule.distances.map((usual) => Math.log(usual + 1e-9));
    const weighted = (values) => values.reduce((sum, value, k) => sum + value * weights[k], 0);
    const p = (1 + weighted(rule.distances.map((usual) => Number(usual >= distance)))) / (groups + 1);
    const centre = weighted(logs) / groups;
    const wide = Math.sqrt((weighted(logs.map((log) => (log - centre) ** 2)) / (groups - 1)) * (1 + 1 / groups)) + 1e-9;
    return [Math.min(p, 1), belowT(groups - 1, (centre - Math.log(distance + 1e-9)) / wide)];
  }

  // In what it is beyond all training images, the farthest first.
  function words(rule, numbers) {
    const far = scaled(rule, numbers).map(Math.abs);
    const beyond = rule.there.map((number, k) => ({ far: far[k], more: numbers[number] > rule.high[k], less: numbers[number] < rule.low[k], k }));
    const named = beyond.filter((one) => (one.more || one.less) && one.far).sort((a, b) => b.far - a.far)
      .map((one) => rule.words[one.k][one.more ? 0 : 1]);
    const first = [...new Set(named)].slice(0, rule.named);
    return first.length ? `${first.join(" and ")} than any of them` : "no training image has this combination";
  }

  function mapped(image, change) {
    return { ...image, planes: image.planes.map((plane) => plane.map(change)) };
  }

  function turned({ planes, width, height }) {
    const turn = (plane) => plane.map((_, at) => plane[(at % height) * width + width - 1 - Math.trunc(at / height)]);
    return { planes: planes.map(turn), width: height, height: width };
  }

  // What an image of 8 bits would be without one usual mistake, and that image in words.
  function* changed(rule, image, low, high, { resized, rint }) {
    for (const top of new Set([255, low + high])) {
      yield ["its negative would be like them", mapped(image, (value) => Math.min(Math.max(top - value, 0), 255))];
    }
    for (const factor of [16, 256, 1 / 16, 1 / 256]) {
      const times = factor > 1 ? `${factor} times brighter` : `${1 / factor} times darker`;
      yield [`${times} it would be like them (another bit depth or exposure?)`, mapped(image, (value) => Math.trunc(Math.min(value * factor, 255)))];
    }
    const { planes, width, height } = image;
    for (const factor of [2, 4, 1 / 2, 1 / 4]) {
      const size = [rint(height / factor), rint(width / factor)];
      if (Math.min(...size) < 16 || size[0] * size[1] > 4 * rule.full) continue;
      const times = factor > 1 ? `${factor} times smaller` : `${1 / factor} times larger`;
      const why = factor > 1 ? "another magnification, or noise?" : "another magnification?";
      const others = planes.map((plane) => resized(plane, width, height, size[1], size[0]));
      yield [`${times} it would be like them (${why})`, { planes: others, width: size[1], height: size[0] }];
    }
    yield ["turned by 90° it would be like them", turned(image)];
  }

  // { p, why }: why is empty where the image is not unlike them.
  function of(rule, image, how) {
    const numbers = numbersOf(rule, image), [p, tail] = ranked(rule, numbers);
    const few = rule.groups < rule.enough;
    if (p > Math.max(rule.level, 1 / (rule.groups + 1)) || (few && tail > rule.level)) return { p, why: "" };
    let low = Infinity, high = -Infinity;
    for (const plane of image.planes) for (const value of plane) { low = Math.min(low, value); high = Math.max(high, value); }
    if (low === high) return { p, why: "all its pixels are alike" };
    if (image.width * image.height <= rule.full) {
      let best = [0, ""];
      for (const [why, other] of changed(rule, image, low, high, how)) {
        const likeness = Math.min(...ranked(rule, numbersOf(rule, other)));
        if (likeness > best[0] || (likeness === best[0] && why > best[1])) best = [likeness, why];
      }
      if (best[0] >= rule.like) return { p, why: best[1] };
    }
    return { p, why: words(rule, numbers) };
  }

  return { of, numbersOf };
})();
