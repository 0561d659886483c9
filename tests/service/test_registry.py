"""A model that keeps the contract runs; each way to break it is one clear line."""

import hashlib
import json
import shutil
from types import SimpleNamespace

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto

from service import session as session_module
from service.errors import DeviceError, ModelContractError, ModelNotFoundError, ValidationError
from service.registry import CONTRACT_VERSION, INPUT, OUTPUTS, Registry, default_models_dir
from tests.toy_models import CALIBRATION, SumModel, write_model


def random_bases(n, width, seed=0):
    return np.random.default_rng(seed).integers(0, 5, (n, width), dtype=np.uint8)


class TestGoodModel:
    def test_is_listed_described_and_loaded(self, toy_models_dir):
        registry = Registry(toy_models_dir)
        assert registry.names() == ["sum", "sum_one"]
        assert registry.card("sum")["licence"] == "Apache-2.0"
        model = registry.load("sum", threads=1)
        info = model.info
        assert (info.name, info.targets, info.window) == ("sum", ("K562", "HepG2"), 20)
        assert (info.members, info.recipe, info.units) == (3, "sum", "log2(RNA/DNA)")
        assert (info.fingerprint, info.data_digest) == ("toy-fingerprint", "toy-data")
        assert info.model_sha256 == registry.card("sum")["model_sha256"]
        assert model.card == registry.card("sum")
        assert model.calibration is None
        assert model.providers == ("CPUExecutionProvider",)

    @pytest.mark.parametrize("n", [1, 2, 7])
    def test_predicts_what_its_twin_in_numpy_predicts(self, toy_model, n):
        bases = random_bases(n, 20)
        mu, sigma = toy_model.run(bases)
        assert mu.dtype == sigma.dtype == np.float32
        assert np.array_equal(mu, SumModel().mu(bases))
        assert np.array_equal(sigma, SumModel().sigma(bases))

    @pytest.mark.parametrize("n", [1, 2, 7, 300])
    def test_predicts_the_same_bits_with_its_tensors_bound_to_a_device(self, toy_models_dir, n):
        """On CUDA they are; the way there is the same on a CPU."""
        content = (toy_models_dir / "sum" / "model.onnx").read_bytes()
        session = session_module.open_session(content, "cpu", 1)
        assert session_module.gpu_of(session) is None
        for bases in (random_bases(n, 20), random_bases(n, 40)[:, ::2]):
            bound = session_module.run_bound(session, OUTPUTS, INPUT, bases, ("cpu", 0))
            for one, other in zip(bound, session.run(OUTPUTS, {INPUT: bases}), strict=True):
                assert one.dtype == other.dtype
                assert np.array_equal(one, other)

    def test_is_bound_to_the_gpu_on_which_it_runs(self, toy_models_dir, monkeypatch):
        seen = []

        def bound(session, outputs, name, values, device):
            seen.append(device)
            return session_module.run_bound(session, outputs, name, values, ("cpu", 0))

        monkeypatch.setattr("service.registry.gpu_of", lambda _: 3)
        monkeypatch.setattr("service.registry.run_bound", bound)
        bases = random_bases(2, 20)
        mu, _ = Registry(toy_models_dir).load("sum", threads=1).run(bases)
        assert np.array_equal(mu, SumModel().mu(bases))
        assert seen == [("cuda", 3)]

    def test_says_on_which_gpu_a_session_is(self):
        session = SimpleNamespace(
            get_providers=lambda: [session_module.CUDA, session_module.CPU],
            get_provider_options=lambda: {session_module.CUDA: {"device_id": "2"}},
        )
        assert session_module.gpu_of(session) == 2

    def test_may_be_calibrated(self, tmp_path):
        write_model(tmp_path, card={"calibration": CALIBRATION})
        calibration = Registry(tmp_path).load("sum", threads=1).calibration
        assert calibration is not None
        assert (calibration.targets, calibration.assay_sd) == (("K562",), 0.05)

    def test_uses_the_threads_it_is_given(self, toy_models_dir, monkeypatch):
        seen = []
        original = ort.InferenceSession

        def spy(*args, **kwargs):
            seen.append(kwargs["sess_options"].intra_op_num_threads)
            return original(*args, **kwargs)

        monkeypatch.setattr(ort, "InferenceSession", spy)
        monkeypatch.setattr("service.session.usable_cores", lambda: 3)
        threads = [Registry(toy_models_dir).load("sum", threads=n).threads for n in (1, 2, None)]
        assert seen == threads == [1, 2, 3], "what is stated is what is used"

    def test_contract_version_is_public(self):
        assert CONTRACT_VERSION == "1"


class TestMissing:
    def test_folder_of_models(self, tmp_path):
        with pytest.raises(
            ModelNotFoundError, match=r"no folder of models at .*nowhere; give .* --models"
        ):
            Registry(tmp_path / "nowhere").names()

    @pytest.mark.parametrize("name", ["dh7", "", "../sum", "sum/", "/etc"])
    def test_model(self, toy_models_dir, name):
        with pytest.raises(ModelNotFoundError, match="there are: sum, sum_one") as caught:
            Registry(toy_models_dir).load(name)
        assert caught.value.detail == {"available": ["sum", "sum_one"]}

    def test_every_model(self, tmp_path):
        assert Registry(tmp_path).names() == []
        with pytest.raises(ModelNotFoundError, match="there are: none"):
            Registry(tmp_path).card("sum")

    @pytest.mark.parametrize("file", ["model.onnx", "card.json"])
    def test_file(self, tmp_path, file):
        (write_model(tmp_path) / file).unlink()
        assert Registry(tmp_path).names() == ["sum"], "a broken model is not hidden"
        fails(tmp_path, f"{file} cannot be read")


def fails(models_dir, message):
    with pytest.raises(ModelContractError, match=message) as caught:
        Registry(models_dir).load("sum", threads=1)
    assert caught.value.message.startswith("model sum: ")
    assert "\n" not in caught.value.message
    assert caught.value.message.endswith(
        "copy its folder again, or export it again with `varsigma-train export`"
    ), "what to do"
    assert caught.value.detail == {"model": "sum"}


class TestBrokenCard:
    @pytest.mark.parametrize(
        "key", ["model_sha256", "calibration", "limits", "licence", "targets", "data_digest"]
    )
    def test_without_a_key(self, tmp_path, key):
        write_model(tmp_path, without=[key])
        fails(tmp_path, f"card.json lacks {key}")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "card.json cannot be read"),
            ("[1]", "card.json lacks calibration, contract_version"),
            ("\udce9", "card.json cannot be read"),
        ],
    )
    def test_that_is_no_object(self, tmp_path, text, message):
        path = write_model(tmp_path) / "card.json"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        fails(tmp_path, message)

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ({"window": 200}, "its window is 20, expected 200"),
            ({"members": 5}, r"mu and sigma have shapes \(1, 3, 2\).*expected \(1, 5, 2\)"),
            ({"members": None}, "targets, window, members or offsets are malformed"),
            ({"fingerprint": "other"}, "its fingerprint is 'toy-fingerprint', expected 'other'"),
            ({"data_digest": "other"}, "its data_digest is 'toy-data'"),
            ({"recipe": "mse"}, "its recipe is 'sum', expected 'mse'"),
            ({"name": "dh7"}, "its card name is 'dh7', expected 'sum'"),
            ({"targets": [{"name": "K562"}]}, r"its targets is \('K562', 'HepG2'\)"),
            ({"targets": ["K562"]}, "targets, window, members or offsets are malformed"),
            ({"offsets": [0, 1]}, r"its offsets is None, expected \[0, 1\]"),
            ({"calibration": {"floor": 1}}, r"calibration\.version: Field required"),
            ({"calibration": CALIBRATION | {"targets": ["HeLa"]}}, "HeLa is no target"),
        ],
    )
    def test_that_contradicts_the_model(self, tmp_path, entry, message):
        write_model(tmp_path, card=entry)
        fails(tmp_path, message)


class TestBrokenModel:
    def test_with_another_digest(self, tmp_path):
        path = write_model(tmp_path) / "model.onnx"
        path.write_bytes(path.read_bytes() + b"\0")
        fails(tmp_path, r"model.onnx has SHA-256 \w{64}, its card says \w{64}")

    def test_truncated(self, tmp_path):
        path = write_model(tmp_path) / "model.onnx"
        path.write_bytes(path.read_bytes()[:-100])
        fails(tmp_path, "model.onnx has SHA-256")

    @pytest.mark.parametrize("content", [b"", b"no model at all", b"\x08\x08\x12\x04"])
    def test_corrupt_under_its_right_digest(self, tmp_path, content):
        folder = write_model(tmp_path, card={"model_sha256": hashlib.sha256(content).hexdigest()})
        (folder / "model.onnx").write_bytes(content)
        fails(tmp_path, "ONNX Runtime cannot load it: ")

    @pytest.mark.parametrize("key", sorted(SumModel().metadata("sum")))
    def test_without_metadata(self, tmp_path, key):
        write_model(tmp_path, metadata={key: None})
        fails(tmp_path, f"its metadata lacks {key}")

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            (
                {"contract_version": "2"},
                "it keeps contract version '2', this service reads '1'",
            ),
            ({"targets": "K562"}, "targets, window, members or offsets are malformed"),
            ({"targets": "[]"}, "its targets must be different names"),
            ({"targets": '["K562", "K562"]'}, "its targets must be different names"),
            ({"targets": '["HepG2", "K562"]'}, "its targets is"),
            ({"offsets": "[0, 1]"}, r"its offsets is \[0, 1\], expected None"),
            ({"offsets": "far"}, "targets, window, members or offsets are malformed"),
            ({"window": "wide"}, "targets, window, members or offsets are malformed"),
            ({"units": "ln(RNA/DNA)"}, "its units are ln"),
            ({"name": "mse"}, "its name is 'mse', expected 'sum'"),
        ],
    )
    def test_with_wrong_metadata(self, tmp_path, entry, message):
        write_model(tmp_path, metadata=entry)
        fails(tmp_path, message)

    @pytest.mark.parametrize(
        ("entry", "told"),
        [
            ({"contract_version": "2"}, "contract version '2'"),
            ({"schema_version": 2}, "schema version 2"),
        ],
    )
    def test_of_another_version_is_told_before_what_that_version_lacks(self, tmp_path, entry, told):
        write_model(tmp_path, card=entry, without=["limits"])
        with pytest.raises(
            ModelContractError, match=f"its card has {told}, .*; take the varsigma that it was"
        ):
            Registry(tmp_path).load("sum")

    def test_with_other_offsets_than_its_card(self, tmp_path):
        write_model(tmp_path, metadata={"offsets": "[0, 1]"}, card={"offsets": [0, 2]})
        fails(tmp_path, r"its offsets is \[0, 1\], expected \[0, 2\]")

    def test_with_a_window_other_than_its_input(self, tmp_path):
        write_model(tmp_path, metadata={"window": "30"}, card={"window": 30})
        fails(tmp_path, r"its input has shape \['N', 20\], expected \[N, 30\]")

    @pytest.mark.parametrize(
        ("broken", "message"),
        [
            ({"input_name": "x"}, r"its tensors are \[\('x', 'tensor\(uint8\)'\)"),
            ({"input_type": TensorProto.INT64}, r"\('bases', 'tensor\(int64\)'\)"),
            ({"output_names": ("mean", "sigma")}, r"\('mean', 'tensor\(float\)'\)"),
            ({"output_names": ("mu", "sd")}, r"\('sd', 'tensor\(float\)'\)"),
            ({"output_type": TensorProto.DOUBLE}, r"\('mu', 'tensor\(double\)'\)"),
            ({"input_shape": [4, 20]}, r"its input has shape \[4, 20\], expected \[N, 20\]"),
            ({"input_shape": ["N", "W"]}, r"its input has shape \['N', 'W'\]"),
        ],
    )
    def test_with_wrong_tensors(self, tmp_path, broken, message):
        write_model(tmp_path, **broken)
        fails(tmp_path, message)

    def test_that_runs_at_the_traced_batch_size_only(self, tmp_path):
        write_model(tmp_path, traced_n=1)
        fails(tmp_path, "it fails on 3 windows: ")

    @pytest.mark.parametrize("weights", [(1, 2, 4, 8, float("nan")), (3e38,) * 5])
    def test_with_outputs_that_are_no_numbers(self, tmp_path, weights):
        write_model(tmp_path, SumModel(base_weights=weights))
        fails(tmp_path, "mu must be finite and sigma positive")

    def test_copied_under_another_name(self, tmp_path):
        folder = write_model(tmp_path)
        shutil.copytree(folder, tmp_path / "copy")
        with pytest.raises(ModelContractError, match=r"model copy: its .*name is 'sum'"):
            Registry(tmp_path).load("copy", threads=1)

    def test_does_not_hide_the_others(self, tmp_path, toy_models_dir):
        shutil.copytree(toy_models_dir, tmp_path, dirs_exist_ok=True)
        (tmp_path / "sum_one" / "model.onnx").write_bytes(b"")
        assert Registry(tmp_path).load("sum", threads=1).info.name == "sum"


class TestDevices:
    def test_another_name_is_refused(self, toy_models_dir):
        with pytest.raises(ValidationError, match="must be cpu, cuda or auto, got 'tpu'"):
            Registry(toy_models_dir).load("sum", device="tpu")

    def test_cuda_without_a_cuda_build_is_an_error(self, toy_models_dir, monkeypatch):
        monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
        with pytest.raises(DeviceError, match=r"has no CUDA: on .* pip install .*\[cuda\]"):
            Registry(toy_models_dir).load("sum", device="cuda")

    def test_auto_without_cuda_says_cpu(self, toy_models_dir, monkeypatch):
        monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
        model = Registry(toy_models_dir).load("sum", device="auto", threads=1)
        assert model.providers == ("CPUExecutionProvider",)

    def test_auto_without_a_driver_does_not_try_cuda(self, toy_models_dir, monkeypatch):
        def no_driver(name):
            raise OSError(name)

        monkeypatch.setattr(ort, "get_available_providers", lambda: [session_module.CUDA])
        monkeypatch.setattr(session_module.ctypes, "CDLL", no_driver)
        monkeypatch.setattr(ort, "preload_dlls", lambda: pytest.fail("no driver, no CUDA"))
        model = Registry(toy_models_dir).load("sum", device="auto", threads=1)
        assert model.providers == ("CPUExecutionProvider",)

    @pytest.fixture
    def silent_fallback(self, monkeypatch):
        """ONNX Runtime as it behaves where CUDA's libraries do not load: it takes the CPU."""
        asked = []
        original = ort.InferenceSession

        def fallback(content, *, sess_options, providers, enable_fallback):
            asked.append((providers, enable_fallback))
            return original(content, sess_options=sess_options, providers=["CPUExecutionProvider"])

        monkeypatch.setattr(ort, "get_available_providers", lambda: [session_module.CUDA])
        monkeypatch.setattr(session_module.ctypes, "CDLL", lambda name: None)
        monkeypatch.setattr(ort, "preload_dlls", lambda: print("Failed to load libcudnn.so.9"))
        monkeypatch.setattr(ort, "InferenceSession", fallback)
        return asked

    def test_cuda_that_silently_became_cpu_is_an_error(self, toy_models_dir, silent_fallback):
        with pytest.raises(DeviceError, match="could not load CUDA and fell back to the CPU"):
            Registry(toy_models_dir).load("sum", device="cuda")

    def test_auto_that_silently_became_cpu_says_so(self, toy_models_dir, silent_fallback, capsys):
        model = Registry(toy_models_dir).load("sum", device="auto")
        assert model.providers == ("CPUExecutionProvider",)
        assert capsys.readouterr().out == ""

    def test_cuda_multiplies_in_full_precision(self, toy_models_dir, silent_fallback):
        Registry(toy_models_dir).load("sum", device="auto")
        [(providers, enable_fallback)] = silent_fallback
        name, options = providers[0]
        assert name == "CUDAExecutionProvider"
        assert options["use_tf32"] == "0"
        assert enable_fallback == 0

    @pytest.mark.parametrize(("device", "providers"), [("cuda", None), ("auto", 1)])
    def test_cuda_that_raises(self, toy_models_dir, monkeypatch, device, providers):
        original = ort.InferenceSession

        def raises(content, *, sess_options, providers, enable_fallback):
            if providers != ["CPUExecutionProvider"]:
                raise RuntimeError("CUDA failure 35: driver too old\nstack trace")
            return original(content, sess_options=sess_options, providers=providers)

        monkeypatch.setattr(ort, "get_available_providers", lambda: [session_module.CUDA])
        monkeypatch.setattr(session_module.ctypes, "CDLL", lambda name: None)
        monkeypatch.setattr(ort, "preload_dlls", lambda: None)
        monkeypatch.setattr(ort, "InferenceSession", raises)
        if device == "cuda":
            with pytest.raises(DeviceError, match=r"driver too old\): on a machine") as caught:
                Registry(toy_models_dir).load("sum", device=device)
            assert "\n" not in caught.value.message
        else:
            model = Registry(toy_models_dir).load("sum", device=device)
            assert model.providers == ("CPUExecutionProvider",)

    @pytest.mark.gpu
    def test_cuda_agrees_with_the_cpu(self, toy_models_dir):
        model = Registry(toy_models_dir).load("sum", device="cuda")
        assert model.providers[0] == "CUDAExecutionProvider"
        bases = random_bases(64, 20)
        assert np.array_equal(model.run(bases)[0], SumModel().mu(bases))


def test_models_come_from_the_wheel_or_from_the_source_tree(tmp_path, monkeypatch):
    module = tmp_path / "service" / "registry.py"
    (tmp_path / "service").mkdir()
    monkeypatch.setattr("service.registry.__file__", str(module))
    assert default_models_dir() == tmp_path / "models"
    (tmp_path / "service" / "_models").mkdir()
    assert default_models_dir() == tmp_path / "service" / "_models"
    assert Registry().models_dir == tmp_path / "service" / "_models"


def test_a_card_is_read_without_opening_the_model(tmp_path):
    folder = write_model(tmp_path)
    (folder / "model.onnx").write_bytes(b"")
    assert Registry(tmp_path).card("sum") == json.loads((folder / "card.json").read_text())
