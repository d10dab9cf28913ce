"""The inpainting generator: learned propagation and a sparse transformer. Source: Zhou et al., ICCV 2023, section 3."""
