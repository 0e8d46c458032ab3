// Each text that is visible, with its contrast against what is behind it.
() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((each) => (each / 255 <= 0.03928 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (box) => {
    for (let each = box; each; each = each.parentElement) {
      const style = getComputedStyle(each);
      const stripes = style.backgroundImage.match(/rgb[^)]*\)/g);
      if (stripes) return stripes.map(rgba);
      const color = rgba(style.backgroundColor);
      if (color[3] === 255) return [color];
    }
    return [[255, 255, 255]];
  };
  const found = [];
  for (const box of document.querySelectorAll("body *")) {
    const text = [...box.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    if (!text || !box.checkVisibility({ opacityProperty: true }) || box.closest(".unseen")) continue;
    const front = luminance(rgba(getComputedStyle(box).color));
    for (const color of behind(box)) {
      const back = luminance(color);
      const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
      found.push([text.slice(0, 40), Math.round(ratio * 100) / 100]);
    }
  }
  return found;
}
