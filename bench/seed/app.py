"""The seed's app1.py, app2.py and app3.py in one file, which is told its number. Its ports are 5001 to 5003 + 100."""

import sys

from flask import Flask

app = Flask(__name__)
number = int(sys.argv[1])


@app.route("/")
def hello() -> str:
    """Greet."""
    return f"Hello from Flask App {number}!"


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5100 + number)  # noqa: S104  # as in the seed
