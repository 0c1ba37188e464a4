"""Files of scanners and microscopes as small as they come, written for tests: NIfTI, DICOM, OME-Zarr, LIF and CZI."""

import gzip
import json
import struct
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import zarr
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

STORED = np.diag([-1.0, -1.0, 1.0, 1.0])  # the affine of an axial volume as its slices are seen: LPS


def write_nifti(path: Path, slices_NHW: np.ndarray, affine: np.ndarray = STORED) -> None:
    image = nibabel.Nifti1Image(slices_NHW.T, affine)
    content = image.to_bytes()
    path.write_bytes(gzip.compress(content, 1) if path.name.endswith(".gz") else content)


def write_dicom(path: Path, frames_NHWC: np.ndarray, **tags: object) -> None:
    """Frames (N, H, W) or (N, H, W, 3) of 8 or 16 bit; `tags` over what a CT slice has."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    bits = 8 * frames_NHWC.dtype.itemsize
    data.SOPClassUID, data.SOPInstanceUID, data.Rows, data.Columns = (
        CTImageStorage,
        "1.2.3",
        *frames_NHWC.shape[1:3],
    )
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit, data.PixelRepresentation = bits - 1, int(frames_NHWC.dtype.kind == "i")
    data.SamplesPerPixel = 3 if frames_NHWC.ndim == 4 else 1
    data.PhotometricInterpretation = "RGB" if frames_NHWC.ndim == 4 else "MONOCHROME2"
    if frames_NHWC.ndim == 4:
        data.PlanarConfiguration = 0
    if len(frames_NHWC) > 1:
        data.NumberOfFrames = len(frames_NHWC)
    content = frames_NHWC.tobytes()
    data.add_new(0x7FE00010, "OW" if bits > 8 else "OB", content + b"\0" * (len(content) % 2))
    for name, value in tags.items():
        setattr(data, name, value)
    pydicom.dcmwrite(path, data, enforce_file_format=True)


def write_ome_zarr(path: Path, array: np.ndarray, axes: str = "tczyx", version: int = 3) -> None:
    """An OME-Zarr image of one level: version 0.5 on Zarr 3, or 0.4 on Zarr 2."""
    described = {
        "axes": [{"name": name, "type": {"t": "time", "c": "channel"}.get(name, "space")} for name in axes],
        "datasets": [
            {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0] * len(axes)}]}
        ],
    }
    attributes = {"multiscales": [described]}
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    group.attrs.update({"ome": {"version": "0.5", **attributes}} if version == 3 else attributes)
    level = group.create_array("0", shape=array.shape, dtype=array.dtype, chunks=array.shape)
    level[...] = array


_LIF_IMAGE = (
    '<Element Name="{name}"><Data><Image><ImageDescription><Channels>{channels}</Channels>'
    "<Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
    '<Memory Size="{size}" MemoryBlockID="MemBlock_{k}"/></Element>'
)
_LIF_AXES = {"X": 1, "Y": 2, "Z": 3, "T": 4, "λ": 5}


def write_lif(path: Path, images: dict[str, tuple[np.ndarray, str]]) -> None:
    """A LIF file of images by their names: values of 8 or 16 bit, and their axes, ``CYX`` for example; the last is X."""
    elements, blocks = [], []
    for k, (name, (array, axes)) in enumerate(images.items()):
        strides = dict(zip(axes, array.strides, strict=True))
        lengths = dict(zip(axes, array.shape, strict=True))
        bits = 8 * array.dtype.itemsize
        channels = "".join(
            f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="{bits}" BytesInc="{strides.get("C", 0) * c}"'
            ' BitInc="0" Min="0" Max="255" Unit="" LUTName="Gray" IsLUTInverted="0" NameOfMeasuredQuantity=""/>'
            for c in range(lengths.get("C", 1))
        )
        dimensions = "".join(
            f'<DimensionDescription DimID="{_LIF_AXES[axis]}" NumberOfElements="{lengths[axis]}" Origin="0" Length="1"'
            f' Unit="m" BitInc="0" BytesInc="{strides[axis]}"/>'
            for axis in reversed(axes)
            if axis != "C"
        )
        elements.append(
            _LIF_IMAGE.format(name=name, channels=channels, dimensions=dimensions, size=array.nbytes, k=k)
        )
        block_name = f"MemBlock_{k}".encode("utf-16-le")
        content = struct.pack("<BQBI", 0x2A, array.nbytes, 0x2A, len(block_name) // 2) + block_name
        blocks.append(struct.pack("<II", 0x70, len(content)) + content + array.tobytes())
    text = (
        '<LMSDataContainerHeader Version="2"><Element Name="test"><Data/><Memory Size="0" MemoryBlockID="MemBlock_none"/>'
        f"<Children>{''.join(elements)}</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    head = struct.pack("<BI", 0x2A, len(text) // 2) + text
    path.write_bytes(struct.pack("<II", 0x70, len(head)) + head + b"".join(blocks))


def rewrite_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
