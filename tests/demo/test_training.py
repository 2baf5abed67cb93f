from openwork.demo.recipes import RECIPES, SPARSITY, TRAININGS
from openwork.demo.training import Trained, histories
from openwork.zoo import Milestone, resnet20


def test_every_recipe_has_its_training() -> None:
    assert {recipe.training for recipe in RECIPES} == set(TRAININGS)
    assert len({recipe.file for recipe in RECIPES}) == len({recipe.name for recipe in RECIPES}) == len(RECIPES)
    assert all(cut is None or cut.sparsity == SPARSITY for cut in TRAININGS.values())


def test_sparse_histories_begin_where_the_dense_one_ended() -> None:
    milestones = (Milestone(0, 0.0, 0.1), Milestone(20, 0.0, 0.9))
    networks = {name: Trained(resnet20(), milestones) for name in ("dense", "1x4")}
    dense, sparse = histories(networks)
    assert [point.step for point in dense.points] == [0, 20]
    assert [point.step for point in sparse.points] == [20, 40]
    assert [point.accuracy for point in sparse.points] == [0.1, 0.9]
