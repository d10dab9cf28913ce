"""The commands of `propainter`, a module each. They alone print, through `terminal`."""
