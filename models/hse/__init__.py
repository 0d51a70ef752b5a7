"""HSE, the hierarchical sequence embedding (Zhang, Hu and Sha, ECCV 2018), and FSE, its flat form."""
