"""The valley-river model of [S2]: a sharp valley x, a slow river y, and the learning rate as temperature.

V(x, y) = c(y) + a(y) x^2 / 2. With the valley in equilibrium at learning rate eta the river sees
F_eta(y) = c(y) + (eta / 2) ln a(y), moves by dy = -F_eta'(y) dt + sqrt(2 eta) dW, and rests at
pi_eta ~ a^(-1/2) exp(-c / eta). docs/theory.md derives it and says what it leaves out.

    expressions     text of a formula -> function of y, without eval
    landscapes      config entry -> c(y), ln a(y), domain, final rate
    generator       finite volumes that obey detailed balance
    spectrum        slowest modes of the backward operator, amplitudes a_n(eta_p) of a plateau in them
    strong_points   where |a_2| falls, where it vanishes, and whether that survives refinement and a wider domain
    evolution       the distribution of y in time, at a fixed or a falling rate
    quench          distances to the final law against time, from several plateaus
    decays          finite decays: the map (plateau, length) -> distance, and the slowest decay that keeps the advantage
    simulation      Langevin walkers in (x, y), against the reduced model
"""
