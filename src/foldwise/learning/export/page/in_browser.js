"use strict";
// The model in this browser: ONNX in WebAssembly, both of which lie in this file. Nothing is sent anywhere.
const engine = (() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const segments = facts.task.endsWith("segmentation"), several = facts.task.startsWith("multilabel");
  let ort, session, training = null;

  async function unpacked(id) {
    const element = document.getElementById(id), text = element.textContent.trim();
    element.remove();
    const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function ready() {
    const script = new Blob([await unpacked("ort-script")], { type: "text/javascript" });
    const address = URL.createObjectURL(script);
    ort = await import(address);
    URL.revokeObjectURL(address);
    ort.env.wasm.numThreads = 1; // several need headers that a file does not have
    ort.env.wasm.wasmBinary = (await unpacked("ort-wasm")).buffer;
    if (facts.comparable) training = JSON.parse(new TextDecoder().decode(await unpacked("training")));
    session = await ort.InferenceSession.create(await unpacked("model"), { executionProviders: ["wasm"], logSeverityLevel: 3 });
  }

  // Bits of a sample, as the tag BitsPerSample of the first directory has them; 1 where there is none.
  async function bitsOfTiff(file, littleEndian) {
    const read = async (at, bytes) => new DataView(await file.slice(at, at + bytes).arrayBuffer());
    const at = (await read(4, 4)).getUint32(0, littleEndian), entries = (await read(at, 2)).getUint16(0, littleEndian);
    const directory = await read(at + 2, 12 * entries);
    for (let entry = 0; entry < 12 * entries; entry += 12) {
      if (directory.getUint16(entry, littleEndian) !== 258) continue;
      if (directory.getUint32(entry + 4, littleEndian) <= 2) return directory.getUint16(entry + 8, littleEndian);
      return (await read(directory.getUint32(entry + 8, littleEndian), 2)).getUint16(0, littleEndian);
    }
    return 1;
  }

  function refuseDepth(bits) {
    throw new Error(`it has ${bits} bits per channel, and the model was trained on 8. It may answer wrongly on such images, however `
      + "they are brought to 8 bits: save it by the same program and in the same way as the images that it was trained on.");
  }

  // What the first bytes say, before a browser shows a picture of it whose values are others.
  async function refuse(file) {
    const head = new Uint8Array(await file.slice(0, 32).arrayBuffer()), start = String.fromCharCode(...head.slice(0, 4));
    const bits = start === "II*\0" || start === "MM\0*" ? await bitsOfTiff(file, start[0] === "I").catch(() => 8) : 8;
    if (bits > 8) refuseDepth(bits);
    if (start === "II*\0" || start === "MM\0*" || start === "II+\0" || start === "MM\0+") {
      throw new Error("browsers do not read TIFF. Save it as PNG, which changes no value of 8 bits; or use foldwise predict.");
    }
    if (start === "\x89PNG" && head[24] === 16) refuseDepth(16);
  }

  async function decoded(file) {
    await refuse(file);
    let picture;
    try {
      picture = await createImageBitmap(file, { premultiplyAlpha: "none", colorSpaceConversion: "none", imageOrientation: "from-image" });
    } catch {
      throw new Error("this browser cannot read it as an image. PNG and JPEG can be read.");
    }
    const { width, height } = picture;
    if (width * height > facts.maxPixels) {
      throw new Error(`it has ${width} × ${height} pixels, more than a browser has memory for. Use foldwise predict, or a part of it.`);
    }
    const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(picture, 0, 0);
    const rgba = context.getImageData(0, 0, width, height).data;
    for (let at = 3; at < rgba.length; at += 4) {
      if (rgba[at] !== 255) throw new Error("it has transparent pixels, whose colour browsers change. Save it without transparency.");
    }
    return { picture, width, height, rgba };
  }

  function rint(value) { // to the nearest whole number, halves to the even one
    const below = Math.floor(value), rest = value - below;
    return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
  }

  function planes({ width, height, rgba }) {
    const size = width * height, values = [];
    for (let channel = 0; channel < facts.channels; channel++) {
      const plane = new Float32Array(size);
      for (let at = 0; at < size; at++) {
        plane[at] = facts.channels === 3 ? rgba[4 * at + channel]
          : rint(rgba[4 * at] * 0.299 + rgba[4 * at + 1] * 0.587 + rgba[4 * at + 2] * 0.114); // ITU-R BT.601
      }
      values.push(plane);
    }
    return values;
  }

  // Weights of a triangle that is as wide as the step from pixel to pixel, so that nothing is skipped.
  function triangle(from, to) {
    const scale = from / to, support = Math.max(scale, 1), rows = [];
    for (let out = 0; out < to; out++) {
      const centre = (out + 0.5) * scale;
      const first = Math.max(Math.trunc(centre - support + 0.5), 0), last = Math.min(Math.trunc(centre + support + 0.5), from);
      const weights = [];
      let sum = 0;
      for (let at = first; at < last; at++) {
        const weight = Math.max(1 - Math.abs((at - centre + 0.5) / support), 0);
        weights.push(weight);
        sum += weight;
      }
      rows.push([first, weights.map((weight) => weight / sum)]);
    }
    return rows;
  }

  function resized(plane, width, height, toWidth, toHeight) {
    let values = plane;
    if (toWidth !== width) {
      const rows = triangle(width, toWidth), next = new Float32Array(toWidth * height);
      for (let y = 0; y < height; y++) {
        rows.forEach(([first, weights], x) => {
          let sum = 0;
          for (let at = 0; at < weights.length; at++) sum += values[y * width + first + at] * weights[at];
          next[y * toWidth + x] = sum;
        });
      }
      values = next;
    }
    if (toHeight !== height) {
      const rows = triangle(height, toHeight), next = new Float32Array(toWidth * toHeight);
      rows.forEach(([first, weights], y) => {
        for (let x = 0; x < toWidth; x++) {
          let sum = 0;
          for (let at = 0; at < weights.length; at++) sum += values[(first + at) * toWidth + x] * weights[at];
          next[y * toWidth + x] = sum;
        }
      });
      values = next;
    }
    return values === plane ? plane : values.map((value) => Math.min(Math.max(rint(value), 0), 255));
  }

  function fed(image) {
    let { width, height } = image, values = planes(image);
    const size = facts.size;
    if (facts.resized && size) {
      values = values.map((plane) => resized(plane, width, height, size[1], size[0]));
      [height, width] = size;
    } else if (size && (height !== size[0] || width !== size[1]) && !(segments && facts.anySize)) {
      throw new Error(`it is ${width} × ${height} pixels, and the model takes images of ${size[1]} × ${size[0]} as they are. Bring it to that scale and size first.`);
    }
    const { p = null, why = "" } = training ? novelty.of(training, { planes: values, width, height }, { resized, rint }) : {};
    const joined = new Float32Array(values.length * width * height);
    values.forEach((plane, channel) => joined.set(plane, channel * width * height));
    return { data: joined, width, height, unlikeP: p, unlike: why ? [`${facts.unlike}: ${why}`] : [] };
  }

  function likeliest(probabilities, size) {
    const labels = new Uint8Array(size);
    let certainty = 0;
    for (let at = 0; at < size; at++) {
      let best = 0;
      for (let k = 1; k < facts.classes.length; k++) {
        if (probabilities[k * size + at] > probabilities[best * size + at]) best = k;
      }
      labels[at] = best;
      certainty += probabilities[best * size + at];
    }
    return { labels, certainty: certainty / size };
  }

  function nearest(labels, width, height, toWidth, toHeight) {
    if (width === toWidth && height === toHeight) return labels;
    const next = new Uint8Array(toWidth * toHeight), stepX = width / toWidth, stepY = height / toHeight;
    for (let y = 0, atY = stepY / 2; y < toHeight; y++, atY += stepY) {
      for (let x = 0, atX = stepX / 2; x < toWidth; x++, atX += stepX) {
        next[y * toWidth + x] = labels[Math.min(Math.floor(atY), height - 1) * width + Math.min(Math.floor(atX), width - 1)];
      }
    }
    return next;
  }

  function clipped(p) {
    return Math.min(Math.max(p, 1e-38), 1 - 2 ** -25);
  }

  function calibrated(p) {
    const temperature = facts.temperature;
    if (temperature === null) return null;
    const clippedP = p.map(clipped);
    if (several) return clippedP.map((value) => 1 / (1 + Math.exp(-(Math.log(value) - Math.log1p(-value)) / temperature)));
    const logits = clippedP.map((value) => Math.log(value) / temperature), most = Math.max(...logits);
    const powers = logits.map((value) => Math.exp(value - most)), sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((value) => value / sum);
  }

  function decided(p) {
    if (!several) return [p.indexOf(Math.max(...p))];
    return [...p.keys()].filter((k) => facts.thresholds[k] !== null && p[k] >= facts.thresholds[k]);
  }

  function doubtful(p) { // classes between which the decision is not clear
    const sure = calibrated(p) || p;
    if (!several) {
      const best = Math.max(...sure), near = [...sure.keys()].filter((k) => sure[k] * facts.maxOdds > best);
      return near.length > 1 ? near : [];
    }
    const from = facts.thresholds.map((limit) => (limit === null ? 0.5 : limit)), moved = calibrated(from) || from;
    return [...sure.keys()].filter((k) => {
      const odds = sure[k] / Math.max(1 - sure[k], 1e-12) / Math.max(moved[k] / Math.max(1 - moved[k], 1e-12), 1e-12);
      return facts.thresholds[k] !== null && odds < facts.maxOdds && odds > 1 / facts.maxOdds;
    });
  }

  function warnings(image, unlike, p) {
    const reasons = facts.caution ? [facts.unproven] : [];
    const near = p ? doubtful(p) : [];
    if (near.length) reasons.push(`low certainty: ${near.map((k) => facts.classes[k]).join(" or ")}`);
    const sizes = facts.sizes, outside = (side, [least, most]) => side < least / facts.maxRescaled || side > most * facts.maxRescaled;
    if (facts.resized && sizes && (outside(image.height, sizes[0]) || outside(image.width, sizes[1]))) reasons.push(facts.rescaled);
    return [...reasons, ...unlike];
  }

  async function predict(file) {
    const image = await decoded(file), input = fed(image);
    const outputs = await session.run({ image: new ort.Tensor("float32", input.data, [1, facts.channels, input.height, input.width]) });
    const p = outputs.probabilities.data, base = { picture: image.picture, width: image.width, height: image.height, unlikeP: input.unlikeP };
    if (!segments) {
      const each = Array.from(p);
      return { ...base, probabilities: each, calibrated: calibrated(each), decided: decided(each), warnings: warnings(image, input.unlike, each) };
    }
    const { labels, certainty } = likeliest(p, input.width * input.height);
    const drawn = nearest(labels, input.width, input.height, image.width, image.height), shares = facts.classes.map(() => 0);
    for (const label of drawn) shares[label] += 1 / drawn.length;
    return { ...base, labels: drawn, certainty, shares, warnings: warnings(image, input.unlike, null) };
  }

  return { ready, predict };
})();
