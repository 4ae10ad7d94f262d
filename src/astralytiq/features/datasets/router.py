"""HTTP doors of the data-set room."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import File, Form, Path, Query, Request, Response, UploadFile

from astralytiq.core.jobs import Job
from astralytiq.core.schemas import Id
from astralytiq.core.security import Actor
from astralytiq.core.web import (
    House,
    PageAsked,
    Session,
    charged_to,
    describe_page,
    mark,
    needs,
    refuse_stale,
    room,
)

from . import downloading, measured, measuring, service, uploads
from .downloading import MEDIA_TYPES, PARQUET
from .models import Dataset, DatasetVersion
from .schemas import (
    ColumnRead,
    DatasetCreate,
    DatasetRead,
    DatasetVersionRead,
    FileFormat,
    Name,
    Preview,
    ProfileRead,
    QualityRead,
    RulesBody,
    RulesRead,
    SchemaRead,
    UploadedDataRead,
    VersionAsked,
    VersionComparison,
    VersionCreate,
)

router = room("/datasets", "datasets")
ml = room("/ml", "machine learning")

Reader = Annotated[Actor, needs("datasets:read")]
Writer = Annotated[Actor, needs("datasets:write")]
TableFile = Annotated[
    UploadFile, File(description="CSV in UTF-8 with a header, JSON Lines, Parquet, or XLSX")
]
Number = Annotated[Id | None, Query(description="default: the newest version")]

FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {media.partition(";")[0]: {} for media in MEDIA_TYPES.values()}},
    206: {"description": "The bytes that Range names", "content": {PARQUET: {}}},
}


@router.get("", response_model=list[DatasetRead])
async def list_datasets(
    request: Request, response: Response, session: Session, page: PageAsked, actor: Reader
) -> Sequence[Dataset]:
    found, total = await service.list_all(session, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@router.post("", response_model=DatasetRead, status_code=201)
@charged_to("expensive")
async def create_dataset(
    response: Response, session: Session, actor: Writer, body: DatasetCreate
) -> Dataset:
    query = service.asked_for(body)
    dataset = await service.create(
        session, actor, name=body.name, description=body.description, query=query
    )
    response.headers["Location"] = f"/api/v1/jobs/{dataset.job_id}"
    mark(response, dataset)
    return dataset


@router.post("/upload", response_model=DatasetRead, status_code=201)
@charged_to("expensive")
async def upload_dataset(
    request: Request,
    response: Response,
    house: House,
    actor: Writer,
    file: TableFile,
    name: Annotated[Name | None, Form()] = None,
) -> Dataset:
    key = request.headers.get("idempotency-key")
    dataset, _ = await uploads.upload(house, actor, file.file, file.filename, name, key)
    response.headers["Location"] = f"/api/v1/datasets/{dataset.id}"
    mark(response, dataset)
    return dataset


@router.get("/{dataset_id}", response_model=DatasetRead)
async def read_dataset(
    response: Response, session: Session, actor: Reader, dataset_id: Id
) -> Dataset:
    dataset = await service.get(session, dataset_id)
    mark(response, dataset)
    return dataset


@router.delete("/{dataset_id}", status_code=204)
async def delete_dataset(request: Request, session: Session, actor: Writer, dataset_id: Id) -> None:
    dataset = await service.get_own(session, actor, dataset_id)
    refuse_stale(request, dataset)
    await service.delete(session, actor, dataset)


@router.get("/{dataset_id}/versions", response_model=list[DatasetVersionRead])
async def list_versions(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: Reader,
    dataset_id: Id,
) -> Sequence[DatasetVersion]:
    found, total = await service.list_versions(session, dataset_id, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@router.post("/{dataset_id}/versions", response_model=VersionAsked, status_code=202)
@charged_to("expensive")
async def freeze_version(
    request: Request,
    response: Response,
    session: Session,
    actor: Writer,
    dataset_id: Id,
    body: VersionCreate | None = None,
) -> VersionAsked:
    dataset = await service.get_own(session, actor, dataset_id)
    refuse_stale(request, dataset)
    job: Job = await service.freeze_again(session, actor, dataset, body)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return VersionAsked(job_id=job.id, status=job.status, dataset_id=dataset.id)


@router.post("/{dataset_id}/versions/upload", response_model=DatasetVersionRead, status_code=201)
@charged_to("expensive")
async def upload_version(
    request: Request,
    response: Response,
    house: House,
    actor: Writer,
    dataset_id: Id,
    file: TableFile,
) -> DatasetVersion:
    async with house.database.reading() as session:
        refuse_stale(request, await service.get_own(session, actor, dataset_id))
    key = request.headers.get("idempotency-key")
    dataset, version = await uploads.upload_version(
        house, actor, dataset_id, file.file, file.filename, key
    )
    response.headers["Location"] = f"/api/v1/datasets/{dataset_id}/versions"
    mark(response, dataset)
    return version


@router.get("/{dataset_id}/preview")
async def preview_dataset(
    house: House,
    actor: Reader,
    dataset_id: Id,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    version: Number = None,
) -> Preview:
    async with house.database.reading() as session:
        found = await service.get_version(session, dataset_id, version)
    return await service.preview(house, found, limit)


@router.get("/{dataset_id}/schema")
async def read_schema(
    session: Session, actor: Reader, dataset_id: Id, version: Number = None
) -> SchemaRead:
    found = await service.get_version(session, dataset_id, version)
    return SchemaRead(
        dataset_id=dataset_id,
        version=found.number,
        reference=found.reference,
        content_hash=found.content_hash,
        rows=found.rows,
        columns=[ColumnRead(**column) for column in found.schema],
    )


@router.get("/{dataset_id}/profile")
async def read_profile(
    session: Session, actor: Reader, dataset_id: Id, version: Number = None
) -> ProfileRead:
    return await measured.profile(session, await service.get_version(session, dataset_id, version))


@router.get("/{dataset_id}/quality")
async def read_quality(
    session: Session, actor: Reader, dataset_id: Id, version: Number = None
) -> QualityRead:
    return await measured.quality(session, await service.get_version(session, dataset_id, version))


@router.get("/{dataset_id}/compare/{other}")
async def compare_versions(
    session: Session,
    actor: Reader,
    dataset_id: Id,
    other: Annotated[str, Path(max_length=40, description="the version before: 2, or 7@2")],
    version: Number = None,
) -> VersionComparison:
    after = await service.get_version(session, dataset_id, version)
    reference = other if "@" in other else f"{dataset_id}@{other}"
    before = await service.resolve(session, reference, ("path", "other"))
    return await measured.compare(session, before, after)


@router.get("/{dataset_id}/rules")
async def read_rules(
    response: Response, session: Session, actor: Reader, dataset_id: Id
) -> RulesRead:
    dataset = await service.get(session, dataset_id)
    mark(response, dataset)
    return RulesRead.model_validate({"dataset_id": dataset.id, "rules": dataset.rules})


@router.put("/{dataset_id}/rules")
async def put_rules(
    request: Request,
    response: Response,
    house: House,
    actor: Writer,
    dataset_id: Id,
    body: RulesBody,
) -> RulesRead:
    dataset, job_id = await measuring.put_rules(
        house, actor, dataset_id, body.rules, partial(refuse_stale, request)
    )
    mark(response, dataset)
    found = {"dataset_id": dataset.id, "rules": dataset.rules, "job_id": job_id}
    return RulesRead.model_validate(found)


@router.get("/{dataset_id}/download", response_class=Response, responses=FILE)
@charged_to("expensive")
async def download_dataset(
    request: Request,
    house: House,
    actor: Reader,
    dataset_id: Id,
    version: Number = None,
    format: Annotated[FileFormat, Query(description="Range is answered of Parquet")] = (
        FileFormat.parquet
    ),
) -> Response:
    async with house.database.reading() as session:
        found = await service.get_version(session, dataset_id, version)
        name = (await service.get(session, dataset_id)).name
    filename = f"{name}-v{found.number}.{format.value}"
    return await downloading.answer(request, house.storage, found, format, filename)


@ml.post("/upload-data")
@charged_to("expensive")
async def upload_data(
    request: Request, house: House, actor: Writer, file: TableFile
) -> UploadedDataRead:
    key = request.headers.get("idempotency-key")
    dataset, version = await uploads.upload(house, actor, file.file, file.filename, None, key)
    return await uploads.summary(house, dataset, version)
