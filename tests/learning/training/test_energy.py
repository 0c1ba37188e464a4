"""The energy of a fit: what counters say, when they begin anew, and nothing where there is none."""

import pynvml
import pytest
import torch

from foldwise.learning.training import energy
from foldwise.learning.training.energy import EnergyMeter, Spending
from foldwise.runs import device_memory

CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


class Clock:
    """Times that a test sets: of the wall, of this process, and of everybody."""

    def __init__(self):
        self.now = self.own = self.busy = 0.0


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """Two packages with counters, beside what is no package; a function that sets them in joules, and the clock."""
    for number in (0, 1):
        package = tmp_path / f"intel-rapl:{number}"
        package.mkdir()
        (package / "max_energy_range_uj").write_text("100000000000\n")  # 100 kJ
        part = tmp_path / f"intel-rapl:{number}:0"  # of the package: it would be counted twice
        part.mkdir()
        (part / "energy_uj").write_text("5\n")
    clock = Clock()

    def counted(*joules):
        for number, value in enumerate(joules):
            (tmp_path / f"intel-rapl:{number}" / "energy_uj").write_text(f"{value * 1_000_000}\n")

    counted(0, 0)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(energy, "_own_s", lambda: clock.own)
    monkeypatch.setattr(energy, "_busy_s", lambda: clock.busy)
    monkeypatch.setattr(energy.time, "monotonic", lambda: clock.now)
    return counted, clock


def test_a_process_is_charged_with_its_share_of_all_processors(processor):
    counted, clock = processor
    counted(10, 90_000)
    meter = EnergyMeter(CPU)
    assert meter.joules() == 0
    counted(50, 90_060)
    clock.own, clock.busy, clock.now = 3.0, 4.0, 2.0
    meter.read()
    counted(70, 90_060)  # alone from here on
    clock.own, clock.busy, clock.now = 5.0, 6.0, 4.0
    assert meter.joules() == pytest.approx(0.75 * 100 + 20)
    assert "share of its busy time" in meter.kind


def test_a_counter_that_began_anew_goes_on(processor):
    counted, clock = processor
    counted(99_990, 0)
    meter = EnergyMeter(CPU)
    counted(20, 0)
    clock.now = 1.0
    assert meter.joules() == pytest.approx(30)


def test_a_counter_that_may_have_begun_anew_twice_is_not_believed(processor):
    counted, clock = processor
    meter = EnergyMeter(CPU)
    counted(20, 0)
    clock.now = 101.0  # 100 kJ at 1 kW
    assert meter.joules() is None
    counted(40, 0)
    clock.now = 102.0
    assert meter.joules() is None  # what was missed stays missing


def test_it_is_read_with_every_beat(processor):
    counted, clock = processor
    spent, told = Spending(CPU), []
    beat = spent.beside(told.append)
    for epoch in range(1, 5):
        counted(60_000 * epoch % 100_000, 0)
        clock.now += 90.0
        beat({"epoch": epoch})
    assert told == [
        {"epoch": epoch} for epoch in (1, 2, 3, 4)
    ]  # of a processor no memory of a device is told
    assert spent.energy.joules() == pytest.approx(240_000)


def test_without_a_counter_that_may_be_read_nothing_is_measured(tmp_path, monkeypatch, processor):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "absent")
    meter = EnergyMeter(CPU)
    meter.read()
    assert (meter.joules(), meter.kind) == (None, None)
    assert EnergyMeter(torch.device("mps")).joules() is None


def test_a_counter_that_may_no_longer_be_read_is_none(processor, tmp_path):
    meter = EnergyMeter(CPU)
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert (meter.joules(), meter.kind) == (None, None)


@pytest.fixture
def card(monkeypatch):
    """A GPU whose driver says what the test sets, in millijoules; an error where it is None."""
    says = {"now": 5_000_000}

    def now(handle):
        assert handle == "GPU-0123-4567"
        if says["now"] is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return says["now"]

    class Properties:
        uuid = "0123-4567"

    monkeypatch.setattr(energy, "_has_nvml", lambda: True)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByUUID", lambda name: name)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetTotalEnergyConsumption", now)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    return says


def test_a_gpu_is_counted_whole(card):
    meter = EnergyMeter(GPU)
    card["now"] += 2_500
    assert meter.joules() == pytest.approx(2.5)
    assert meter.kind == "the whole GPU"
    card["now"] = 10  # the driver was loaded anew
    assert meter.joules() is None


def test_a_gpu_without_a_counter_is_not_measured(card):
    card["now"] = None
    assert EnergyMeter(GPU).joules() is None


def test_a_machine_without_a_driver_is_not_measured(monkeypatch):
    def absent():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", absent)
    energy._has_nvml.cache_clear()
    assert EnergyMeter(GPU).joules() is None
    energy._has_nvml.cache_clear()


def test_the_times_of_programs_are_those_of_the_system():
    own, busy = energy._own_s(), energy._busy_s()
    while energy._own_s() < own + 0.2:
        sum(range(10_000))
    assert energy._busy_s() > busy + 0.1  # in ticks of a hundredth


@pytest.mark.parametrize(
    ("before", "now", "whole"),
    [
        ({"peak_memory_mb": 7.0, "energy_j": 3.0}, (5.0, 2.0), (7.0, 5.0)),
        ({"peak_memory_mb": 4.0, "energy_j": 3.0}, (5.0, 0.0), (5.0, 3.0)),
        ({"peak_memory_mb": None, "energy_j": 3.0}, (5.0, None), (None, None)),  # half a measurement is none
        (None, (5.0, 2.0), (5.0, 2.0)),
    ],
)
def test_a_fit_that_goes_on_has_spent_what_it_spent_before_too(monkeypatch, before, now, whole):
    monkeypatch.setattr(energy.MemoryPeak, "mb", lambda _: now[0])
    monkeypatch.setattr(energy.EnergyMeter, "joules", lambda _: now[1])
    spent = Spending(CPU)
    if before is not None:
        spent.restore(before)
    record = spent.record()
    assert (record["peak_memory_mb"], record["energy_j"]) == whole


def test_what_is_measured_beside_others_says_so(tmp_path, monkeypatch):
    programs = [["me"]]
    monkeypatch.setattr(energy, "_has_nvml", lambda: True)
    monkeypatch.setattr(energy, "_card", lambda device: device)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetComputeRunningProcesses", lambda card: programs[0])
    sharers = energy.Sharers(GPU)
    assert sharers.most == 1
    programs[0] = ["me", "somebody else"]
    sharers.look()
    programs[0] = ["me"]
    sharers.look()
    assert sharers.most == 2  # at any time
    (tmp_path / "room").write_text("3")
    monkeypatch.setenv(
        device_memory.ROOM, str(tmp_path / "room")
    )  # where the driver does not tell, the crew does
    assert energy.Sharers(torch.device("mps")).most == 3
    assert energy.Sharers(CPU).most == 1  # processors are divided among workers, not shared
    spent = Spending(CPU)
    spent.restore({"peak_memory_mb": None, "energy_j": None, "sharers": 2})
    assert spent.record()["sharers"] == 2
