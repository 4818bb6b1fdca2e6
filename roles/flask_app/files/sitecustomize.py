"""Have `.pth` files beside this module read, as those of site-packages are: packages bring them (site, Python's library).

Python imports it by its name before anything else.
"""

import os
import site

site.addsitedir(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 (which costs each start less)
