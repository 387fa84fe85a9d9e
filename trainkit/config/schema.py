"""The typed schema of every setting: one dataclass a config group. Plain data; imports nothing but the standard library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MODES = ("fit", "evaluate", "predict", "tune", "parity", "export", "report")


PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")


EXECUTIONS = ("auto", "epoch_xla", "epoch", "step_xla", "step")


FEEDS = ("auto", "resident", "stream")


ENGINES = ("trainkit", "keras")


SCHEDULES = ("constant", "cosine", "step", "exponential")


PROGRESS = ("auto", "rich", "plain", "none")


@dataclass
class TrainerConfig:
    """How to train, whatever the task. `batch_size` is the global batch, over all replicas and workers."""

    epochs: int = 1  # passes over the training rows, >= 1
    steps: int | None = None  # stop after this many optimizer steps in all, whatever `epochs` says
    batch_size: int = 32  # rows of one micro-batch, over all replicas
    accumulate: int = (
        1  # micro-batches summed into one optimizer step: the same as a batch `accumulate` times larger
    )
    seed: int = 0  # weights, row order, dropout
    deterministic: bool = (
        False  # bitwise repeatable: deterministic kernels, and `auto` decides by rule, not by measuring
    )
    precision: str = "float32"  # PRECISIONS
    strategy: str = "auto"  # STRATEGIES
    replicas: int | None = None  # devices to use; makes logical CPU devices where there are no GPUs
    devices: list[int] | None = None  # indices of the GPUs to use; None: all
    tf32: bool = True  # TensorFloat-32 products on GPUs that have them
    sync_batch_norm: bool = False  # BatchNormalization statistics over all replicas
    execution: str = "auto"  # EXECUTIONS
    engine: str = "trainkit"  # ENGINES: `keras` trains through model.fit
    feed: str = "auto"  # FEEDS: rows resident on the device, or streamed by tf.data
    fast_kernels: bool | None = (
        None  # dropout, batch normalisation, Adam, bfloat16 by kernels other than Keras's; None: under XLA and `auto`
    )
    dropout: bool = True  # False: no dropout, as for a comparison across replicas or for debug=overfit
    dynamic_rows: bool = (
        False  # trace steps for any number of rows, as model.fit does: slower, for bitwise parity
    )
    epochs_per_call: int | None = (
        None  # epochs in one program where callbacks allow it; None: as many as last about half a second
    )
    limit_train_batches: int | None = None  # steps in an epoch, at most
    validate_every: int = 1  # epochs between validations
    max_skipped_steps: int = 50  # float16: so many steps in a row without finite gradients are an error
    heartbeat_seconds: float = 30.0  # multi_worker: a worker silent for so long is taken for dead


@dataclass
class ScheduleConfig:
    """Learning rate over steps: linear warm-up from 0, then constant, cosine, step or exponential decay."""

    name: str = "constant"  # SCHEDULES
    warmup_steps: int = 0
    decay_steps: int | None = (
        None  # cosine: length, all steps that are left by default; step, exponential: steps per decay
    )
    decay_rate: float = 0.5  # step, exponential: factor per `decay_steps`
    final: float = 0.0  # cosine: last learning rate as a share of the first


@dataclass
class ClipConfig:
    """Gradient clipping; at most one of the three. `scope`: the gradient of the global batch, or each replica's own as Keras does."""

    norm: float | None = None  # each variable's gradient to this L2 norm
    global_norm: float | None = None  # all gradients together to this L2 norm
    value: float | None = None  # each entry to [-value, value]
    scope: str = "global"  # global | replica


@dataclass
class EmaConfig:
    """Exponential moving average of the weights, which become the weights when training ends."""

    enabled: bool = False
    momentum: float = 0.99
    overwrite_every: int | None = (
        None  # steps between overwriting the weights with their average; None: only at the end
    )


@dataclass
class OptimizerConfig:
    """`name=recipe` is the task's own optimizer; None leaves a value as the optimizer or recipe has it."""

    name: str = "recipe"
    learning_rate: float | None = None
    weight_decay: float | None = None
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)
    ema: EmaConfig = field(default_factory=EmaConfig)
    options: dict[str, Any] = field(
        default_factory=dict
    )  # further arguments of the Keras optimizer, e.g. {momentum: 0.9}


@dataclass
class DataConfig:
    """Where rows come from and how they are split."""

    source: str = "auto"  # auto | mnist | boston | embedded: one source demanded, or tried in order
    dir: str | None = None  # folder with mnist.npz and boston_housing.npz; TRAINKIT_DATA sets it
    validation: float = 0.2  # share of the training rows held out for validation
    seed: int = 0  # of the validation split
    train_rows: int | None = None  # train on the first so many rows alone (debug=overfit)


@dataclass
class CheckpointConfig:
    """What is saved while training, besides `checkpoints/last` and `checkpoints/best`."""

    enabled: bool = True
    every_epochs: int | None = None  # keep `checkpoints/<pattern>` every so many epochs
    keep: int | None = None  # newest epoch checkpoints to keep; None: all
    pattern: str = "epoch-{epoch:04d}"  # file name; {epoch}, {step} and logged values such as {val_loss:.4f}
    monitor: str | None = None  # value that decides `best`; None: the task's
    mode: str = "auto"  # min | max | auto: known from the metric


@dataclass
class EarlyStoppingConfig:
    """Stop when `monitor` has not improved by `min_delta` for `patience` epochs."""

    enabled: bool = False
    monitor: str | None = None  # None: the task's
    mode: str = "auto"
    patience: int = 5
    min_delta: float = 0.0
    restore_best_weights: bool = True


@dataclass
class TensorBoardConfig:
    enabled: bool = True
    histograms_every: int | None = None  # epochs between weight histograms
    graph: bool = True
    profile: bool = False  # trace a few steps of the second epoch for the Profile tab


@dataclass
class CallbacksConfig:
    """The observers of a run; `extra` takes any Keras callback by `_target_`."""

    csv: bool = True
    plots: bool = True
    tensorboard: TensorBoardConfig = field(default_factory=TensorBoardConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    extra: list[Any] = field(default_factory=list)


@dataclass
class PredictConfig:
    split: str = "test"  # train | validation | test
    show: int = 10  # rows printed


@dataclass
class ParityConfig:
    """What mode=parity compares with: `model.fit`, or with `replicas` or `workers` the same training on several of them."""

    epochs: int = 1
    steps: int | None = None  # compare only so many steps
    tolerance: str = "auto"  # auto | exact | a number
    matrix: bool = False  # compare execution modes, precisions, optimizers and strategies
    replicas: int | None = None  # compare one device with so many replicas, over 20 steps by default
    workers: int | None = None  # compare one device with so many workers on this machine


@dataclass
class Config:
    """Everything `python -m trainkit` takes."""

    mode: str = "fit"  # MODES
    name: str = "???"  # of the run's folder: runs/<name>/
    task: Any = "???"  # {_target_: class, its arguments}
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    data: DataConfig = field(default_factory=DataConfig)
    callbacks: CallbacksConfig = field(default_factory=CallbacksConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    predict: PredictConfig = field(default_factory=PredictConfig)
    parity: ParityConfig = field(default_factory=ParityConfig)
    progress: str = "auto"  # PROGRESS
    resume: str | None = None  # last | best | <run directory>
    run_dir: str | None = None  # this run's folder; None: runs/<name>/<timestamp>-<id>
    runs_dir: str = "runs"
