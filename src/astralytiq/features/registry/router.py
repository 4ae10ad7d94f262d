"""HTTP doors of the model registry."""

from typing import Annotated, Any

from fastapi import File, Form, Path, Query, Request, Response, UploadFile
from pydantic import Json

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

from . import describing, promoting, service, uploading
from .exporting import ModelFormat, export
from .models import Model
from .promoting import Change
from .schemas import ModelChange, ModelRead, ModelVersionRead, StageChange, StageRead
from .schemas_uploads import UploadAsked, UploadSignature

router = room("/models", "models")

Reader = Annotated[Actor, needs("models:read")]
Writer = Annotated[Actor, needs("models:write")]
Number = Annotated[Id, Path(alias="version")]
BYTES = "application/octet-stream"
FILE: dict[int | str, dict[str, Any]] = {200: {"content": {BYTES: {}}}}
ModelFile = Annotated[UploadFile, File(description="ONNX, or XGBoost's UBJ; never a pickle")]
Signed = Annotated[Json[UploadSignature], Form(description="JSON: features, task, target, classes")]


@router.get("")
async def list_models(
    request: Request, response: Response, session: Session, page: PageAsked, actor: Reader
) -> list[ModelRead]:
    found, total = await service.list_all(session, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@router.get("/{name}")
async def read_model(response: Response, session: Session, actor: Reader, name: str) -> ModelRead:
    model, answer = await service.read(session, name)
    mark(response, model)
    return answer


@router.put("/{name}")
@router.patch("/{name}")
async def change_model(
    request: Request,
    response: Response,
    session: Session,
    actor: Writer,
    name: str,
    body: ModelChange,
) -> ModelRead:
    model = await service.get(session, name)
    refuse_stale(request, model)
    await describing.change(session, actor, model, body)
    return await read_model(response, session, actor, name)


@router.get("/{name}/versions")
async def list_versions(
    request: Request,
    response: Response,
    session: Session,
    page: PageAsked,
    actor: Reader,
    name: str,
) -> list[ModelVersionRead]:
    found, total = await service.list_versions(session, name, page.limit, page.offset)
    describe_page(request, response, page, total)
    return found


@router.post("/{name}/versions", status_code=202)
@charged_to("expensive")
async def upload_version(
    request: Request,
    response: Response,
    house: House,
    actor: Writer,
    name: str,
    file: ModelFile,
    signature: Signed,
) -> UploadAsked:
    key = request.headers.get("idempotency-key")
    asked = await uploading.receive(house, actor, name, file.file, signature, key)
    response.headers["Location"] = f"/api/v1/jobs/{asked.job_id}"
    return asked


@router.get("/{name}/versions/{version}")
async def read_version(
    response: Response, session: Session, actor: Reader, name: str, number: Number
) -> ModelVersionRead:
    model = await service.get(session, name)
    mark(response, model)
    return service.describe(model, await service.get_version(session, model, number))


@router.post("/{name}/versions/{version}/stage")
async def change_stage(
    request: Request,
    response: Response,
    session: Session,
    actor: Writer,
    name: str,
    number: Number,
    body: StageChange,
) -> StageRead:
    model = await promoting.hold(session, name)
    refuse_stale(request, model)
    change = await promoting.change_stage(session, actor, model, number, body.stage, body.gate)
    return shown(response, model, change)


@router.post("/{name}/rollback")
async def roll_back(
    request: Request, response: Response, session: Session, actor: Writer, name: str
) -> StageRead:
    model = await promoting.hold(session, name)
    refuse_stale(request, model)
    return shown(response, model, await promoting.roll_back(session, actor, model))


def shown(response: Response, model: Model, change: Change) -> StageRead:
    mark(response, model)
    version = service.describe(model, change.version)
    gate = change.judged.read() if change.judged else None
    return StageRead(**version.model_dump(), gate=gate)


@router.get("/{name}/versions/{version}/export", responses=FILE, response_class=Response)
@charged_to("expensive")
async def export_version(
    house: House,
    actor: Reader,
    name: str,
    number: Number,
    form: Annotated[ModelFormat, Query(alias="format")] = ModelFormat.onnx,
) -> Response:
    found = await export(house, actor, name, number, form)
    disposition = f'attachment; filename="{found.filename}"'
    headers = {"Content-Disposition": disposition}
    return Response(found.content, media_type=BYTES, headers=headers)
