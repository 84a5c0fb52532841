// What the mock says, by a word in the question: "mock:long" and so on.

const fence = "```";

export const pentagon = `<!doctype html>
<html>
<head>
<title>Ball in a pentagon</title>
<style>html,body{margin:0;height:100%;background:#10151c}canvas{display:block;width:100%;height:100%}</style>
</head>
<body>
<canvas id="scene"></canvas>
<script>
const canvas = document.getElementById("scene");
const context = canvas.getContext("2d");
const ball = { x: 0, y: 0, vx: 130, vy: 0, r: 14 };
let angle = 0, last = performance.now();
console.log("the ball is in play");
function corners(size) {
  return Array.from({ length: 5 }, (_, i) => {
    const a = angle + i * Math.PI * 2 / 5;
    return { x: size * Math.cos(a), y: size * Math.sin(a) };
  });
}
function step(now) {
  const dt = Math.min((now - last) / 1000, 0.03);
  last = now;
  canvas.width = canvas.clientWidth; canvas.height = canvas.clientHeight;
  const size = Math.min(canvas.width, canvas.height) * 0.42;
  angle += dt * 0.7;
  ball.vy += 420 * dt; ball.x += ball.vx * dt; ball.y += ball.vy * dt;
  const points = corners(size);
  points.forEach((p, i) => {
    const q = points[(i + 1) % 5];
    const nx = -(q.y - p.y), ny = q.x - p.x, length = Math.hypot(nx, ny);
    const ux = nx / length, uy = ny / length;
    const depth = (ball.x - p.x) * ux + (ball.y - p.y) * uy - ball.r;
    if (depth < 0) {
      const speed = ball.vx * ux + ball.vy * uy;
      ball.x -= depth * ux; ball.y -= depth * uy;
      if (speed < 0) { ball.vx -= 1.85 * speed * ux; ball.vy -= 1.85 * speed * uy; }
    }
  });
  context.setTransform(1, 0, 0, 1, canvas.width / 2, canvas.height / 2);
  context.beginPath();
  points.forEach((p) => context.lineTo(p.x, p.y));
  context.closePath();
  context.lineWidth = 4; context.strokeStyle = "#7cc4ac"; context.stroke();
  context.beginPath();
  context.arc(ball.x, ball.y, ball.r, 0, 7);
  context.fillStyle = "#f2b04c"; context.fill();
  requestAnimationFrame(step);
}
requestAnimationFrame(step);
</script>
</body>
</html>`;

export const long = `# Rotations, briefly

A rotation by an angle $\\theta$ is the matrix

$$
R(\\theta) = \\begin{pmatrix} \\cos\\theta & -\\sin\\theta \\\\ \\sin\\theta & \\cos\\theta \\end{pmatrix}
$$

It keeps lengths, since $R^\\top R = I$. It costs \\(4\\) multiplications, not $5 and not $6.

## What follows

1. Angles **add**: $R(\\alpha)R(\\beta) = R(\\alpha + \\beta)$.
2. The inverse is the *transpose*.
   - So no division is needed,
   - and \`atan2\` gives the angle back.
3. ~~Every matrix is a rotation.~~ Only those with determinant 1.

| Angle | Cosine | Sine |
| :--- | ---: | ---: |
| $0$ | 1.000 | 0.000 |
| $\\pi/6$ | 0.866 | 0.500 |
| $\\pi/2$ | 0.000 | 1.000 |

> A rotation is what you do to the page,
> not to what is written on it.

${fence}python
import math

def rotate(x, y, theta):
    """Turns the point (x, y) around the origin."""
    c, s = math.cos(theta), math.sin(theta)
    return c * x - s * y, s * x + c * y

for step in range(4):
    print(step, rotate(1.0, 0.0, step * math.pi / 2))
${fence}

- [x] Write it down
- [ ] Prove it

More is in [the book](https://example.org/rotations "a book").
`;

const nasty = `A <b>bold</b> word, <script>window.hurt = 1</script>, <img src=x onerror="window.hurt = 2">,
<a href="javascript:window.hurt=3">a link</a>, ![a picture](https://example.org/p.png),
<svg onload="window.hurt=4"><style>*{display:none}</style></svg> and <iframe src="https://example.org"></iframe>.

<div onclick="window.hurt = 5" style="position:fixed;inset:0">over everything</div>
`;

export function answers(body, last, text) {
  if (last.role === "tool") return { text: `The tool said: ${last.content}` };
  if (/mock:slow/.test(text)) return { text: "One word after the other, ".repeat(60) };
  if (/mock:long/.test(text)) return { text: long };
  if (/mock:nasty/.test(text)) return { text: nasty };
  if (/mock:pentagon/.test(text)) return { text: `Here it is:\n\n${fence}html\n${pentagon}\n${fence}\n\nIt should play at once.` };
  if (/open beside this conversation/.test(text)) {
    return { text: `Changed.\n\n${fence}html\n${pentagon.replace("#f2b04c", "#ff4f6d").replace("Ball in", "Red ball in")}\n${fence}` };
  }
  if (/mock:tool (\w+) (.*)/.test(text)) {
    const [, name, input] = /mock:tool (\w+) (.*)/.exec(text);
    return { text: "", calls: [{ id: "call_1", function: { name, arguments: input } }] };
  }
  if (/mock:break/.test(text)) return { text: "This answer will not reach its end, whatever one does.", breakAt: 4 };
  if (/mock:length/.test(text)) return { text: "Cut off in the mid", finish: "length" };
  if (/mock:essay/.test(text)) return { text: "A sentence that says little. ".repeat(400), perChunk: 400 };
  const images = body.messages.flatMap((message) => (Array.isArray(message.content) ? message.content : [])).filter((part) => part.type === "image_url").length;
  if (images > 0) return { text: `I see ${images} pictures.` };
  return { text: `You said: ${text.slice(-200)}` };
}
