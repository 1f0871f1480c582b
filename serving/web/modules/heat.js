// A class activation map as colours over the part of the picture that the network sees.

// from black over purple and orange to light yellow: readable in greyscale and with colour blindness
const STOPS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const FINE = 224; // pixels across the interpolated map
const LONGEST = 1024; // pixels across the canvas

/** The centred box that the network sees, in pixels of the picture. */
export function seenBox(width, height, { size: [rows, columns], crop_fraction: crop }) {
  const scale = crop * Math.min(width / columns, height / rows);
  return { x: (width - columns * scale) / 2, y: (height - rows * scale) / 2, width: columns * scale, height: rows * scale };
}

/**
 * Draw a map.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width Of the picture, in pixels.
 * @param {number} height
 * @param {{grid: number[][], input: {size: [number, number], crop_fraction: number}}} map
 */
export function drawHeat(canvas, width, height, { grid, input }) {
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  const box = seenBox(canvas.width, canvas.height, input);
  context.fillStyle = "rgb(0 0 0 / 62%)"; // what the network does not see
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.clearRect(box.x, box.y, box.width, box.height);
  context.drawImage(coloured(grid), box.x, box.y, box.width, box.height);
}

/** Say where a map is highest, for those who cannot see it. */
export function brightestPlace(grid) {
  const flat = grid.flat();
  const place = flat.indexOf(Math.max(...flat));
  const third = (position, length) => Math.floor((3 * (position + 0.5)) / length);
  const columns = grid[0].length;
  const vertical = ["top", "middle", "bottom"][third(Math.floor(place / columns), grid.length)];
  const horizontal = ["left", "centre", "right"][third(place % columns, columns)];
  return `${vertical} ${horizontal}`.replace("middle centre", "centre").replace(/ centre$/, "");
}

function coloured(grid) {
  const flat = grid.flat();
  const low = Math.min(...flat);
  const range = Math.max(...flat) - low || 1;
  const height = Math.round((FINE * grid.length) / grid[0].length);
  const canvas = new OffscreenCanvas(FINE, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(FINE, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < FINE; x++) {
      const value = interpolated(grid, ((y + 0.5) * grid.length) / height - 0.5, ((x + 0.5) * grid[0].length) / FINE - 0.5);
      const heat = Math.min(1, Math.max(0, (value - low) / range));
      const stop = Math.min(STOPS.length - 2, Math.floor(heat * (STOPS.length - 1)));
      const part = heat * (STOPS.length - 1) - stop;
      const colour = STOPS[stop].map((from, channel) => from + part * (STOPS[stop + 1][channel] - from));
      image.data.set([...colour, 255 * Math.sqrt(heat)], 4 * (y * FINE + x));
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Interpolate by cubic splines (Catmull and Rom), first along rows, then down the columns. */
function interpolated(grid, y, x) {
  const [top, left] = [Math.floor(y), Math.floor(x)];
  const clamp = (index, length) => Math.min(length - 1, Math.max(0, index));
  const rows = [-1, 0, 1, 2].map((dy) => {
    const row = grid[clamp(top + dy, grid.length)];
    return cubic([-1, 0, 1, 2].map((dx) => row[clamp(left + dx, row.length)]), x - left);
  });
  return cubic(rows, y - top);
}

function cubic([a, b, c, d], t) {
  return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
}
