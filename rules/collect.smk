# Needs: all rules. Makes: named stopping points: `train_all`, `statistics`, `figures` (the default), `theory`.
localrules:
    statistics,
    figures,


rule statistics:
    input:
        rules.runs_table.output,
        rules.optima.output,
        rules.validation_errors.output,
        rules.answer.output,
        rules.comparisons.output,
        rules.mixed_model.output,
        rules.spike_ratios.output,
        rules.diagnostics.output,
        rules.correlation.output,
        rules.leaderboard.output,
        rules.claims.output,
        rules.looks_table.output if ADAPTIVE else [],


rule figures:
    input:
        rules.train_all.input,
        rules.statistics.input,
        rules.effects_figures.output,
        rules.units.output if WORDS["question"] == "unit" else [],
        rules.rewarming.output if WORDS["question"] == "rewarming" else [],
        rules.prediction_figures.output,
        rules.bill_compared.output,
        rules.setup.output,
        rules.starts_figures.output,
        rules.start_differences.output if TWINS else [],
        rules.mechanism_figures.output,
        rules.recipe_figures.output if len(RECIPES) > 1 else [],
        THEORY_TARGETS,
        rules.predict.output if PREDICTED else [],
