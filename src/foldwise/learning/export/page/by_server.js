"use strict";
// The model in foldwise on this computer: images go to the address that this page came from, and nowhere else.
const engine = (() => {
  async function loaded(address) {
    const image = new Image();
    image.src = address;
    await image.decode();
    return image;
  }

  // The mask is a grey picture of class indices.
  async function labels(address, width, height) {
    const canvas = new OffscreenCanvas(width, height), context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(await loaded(address), 0, 0);
    return context.getImageData(0, 0, width, height).data.filter((_, at) => at % 4 === 0);
  }

  async function predict(file) {
    const { maxBytes } = JSON.parse(document.getElementById("facts").textContent);
    // A server that refuses before it has read all is not heard.
    if (file.size > maxBytes) throw new Error(`it has more than ${Math.round(maxBytes / 1e6)} MB. Use foldwise predict.`);
    let answer;
    try {
      answer = await fetch("predict", { method: "POST", body: file, headers: { "X-Name": encodeURIComponent(file.name) } });
    } catch {
      throw new Error("foldwise does not answer: was it ended? Start foldwise app again.");
    }
    const result = await answer.json();
    if (!answer.ok) throw new Error(result.problem);
    result.picture = await loaded(result.picture);
    if (result.mask) result.labels = await labels(result.mask, result.width, result.height);
    return result;
  }

  return { ready: async () => {}, predict };
})();
