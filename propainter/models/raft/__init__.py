"""RAFT: optical flow between neighbouring frames. Source: Teed and Deng, ECCV 2020."""
