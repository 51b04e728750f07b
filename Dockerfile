# The workflow with all its environments merged into one, for machines with an NVIDIA GPU. Not built where it was written
# (no container engine, no conda channel there): see envs/README.md.
#   docker build -t warmup-sweep .
#   docker run --gpus all -v "$PWD/study:/study" warmup-sweep snakemake --snakefile /opt/warmup-sweep/Snakefile \
#       --configfile /opt/warmup-sweep/config.yaml --cores all
FROM mambaorg/micromamba:2
COPY --chown=$MAMBA_USER:$MAMBA_USER envs/train.yaml envs/data.yaml envs/analysis.yaml envs/report.yaml /tmp/envs/
# No GPU is visible while an image is built: say which CUDA the image is for.
ENV CONDA_OVERRIDE_CUDA=12.9
# Triton compiles while a training runs, also where nothing activates the environment.
ENV CC=/opt/conda/bin/gcc
RUN for name in train data analysis report; do micromamba install --yes --name base --file /tmp/envs/$name.yaml; done \
    && micromamba clean --all --yes
COPY --chown=$MAMBA_USER:$MAMBA_USER Snakefile config.yaml requirements.lock pyproject.toml LICENSE /opt/warmup-sweep/
COPY --chown=$MAMBA_USER:$MAMBA_USER envs /opt/warmup-sweep/envs
COPY --chown=$MAMBA_USER:$MAMBA_USER examples /opt/warmup-sweep/examples
COPY --chown=$MAMBA_USER:$MAMBA_USER profiles /opt/warmup-sweep/profiles
COPY --chown=$MAMBA_USER:$MAMBA_USER report /opt/warmup-sweep/report
COPY --chown=$MAMBA_USER:$MAMBA_USER rules /opt/warmup-sweep/rules
COPY --chown=$MAMBA_USER:$MAMBA_USER schemas /opt/warmup-sweep/schemas
COPY --chown=$MAMBA_USER:$MAMBA_USER workflow_scripts /opt/warmup-sweep/workflow_scripts
# The study lives outside the image: results, checkpoints and Snakemake's own records.
WORKDIR /study
CMD ["snakemake", "--version"]
